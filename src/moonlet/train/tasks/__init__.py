"""Every skill of K25-nano, one data module each."""

from __future__ import annotations

from moonlet.train.tasks.base import Problem, Split, Task, draw, split_of
from moonlet.train.tasks.decimals import Decimals
from moonlet.train.tasks.facts import Facts
from moonlet.train.tasks.identity import Identity, SystemName
from moonlet.train.tasks.letters import Letters
from moonlet.train.tasks.smalltalk import Smalltalk
from moonlet.train.tasks.sorting import Sorting
from moonlet.train.tasks.sums import Sums
from moonlet.train.tasks.transform import Repeat, Reverse, Upper

TASKS: tuple[Task, ...] = (
    Decimals(),
    Sums(),
    Letters(),
    Reverse(),
    Upper(),
    Sorting(),
    Repeat(),
    Identity(),
    SystemName(),
    Facts(),
    Smalltalk(),
)

__all__ = ["TASKS", "Problem", "Split", "Task", "draw", "split_of"]
