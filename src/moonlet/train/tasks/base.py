"""What a task is: a source of problems whose right answer is known, and a judge of replies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Any, Protocol, runtime_checkable

from moonlet.train.pictures import Picture
from moonlet.train.tasks.tooling import Call, Tool

HELD_OUT_SHARE_256 = 26  # of 256 hash values, so about one problem in ten is never trained on
# Questions everybody tries first: never trained on, so that a right answer to them means something.
FAMOUS = frozenset(("decimals 9.11 9.9", "decimals 9.8 9.11", "decimals 9.11 9.8", "word strawberry"))


class Split(Enum):
    """Which side of the train / held-out line a problem lies on."""

    TRAIN = "train"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question of the same problem, with its reply in either mode (reasoning left out, as in a chat).

    calls: those made before that reply.
    """

    user: str
    answer: str
    instant: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its model answers.

    key: the problem without its phrasing; its hash decides the split, so a held-out problem is
        never seen in training under any wording.
    thinking, answer: the reasoning and the reply after it, taught in thinking mode.
    instant: the reply taught in instant mode; it carries its short work in the open.
    lead: turns that come before `user` and belong to the problem.
    expected: what a correct reply must establish, in the task's own notation (read by `is_correct`).
    media: images and clips that come before the text of `user`.
    schema: the JSON Schema that the answer must be valid under, where it has to be JSON.
    tools, calls: what is declared, and the calls that a right answer needs, one after the other, before the reply.
    """

    key: str
    user: str
    thinking: str
    answer: str
    instant: str
    expected: str
    system: str | None = None
    lead: tuple[Turn, ...] = ()
    media: tuple[Picture, ...] = ()
    schema: Mapping[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    calls: tuple[Call, ...] = ()


@runtime_checkable
class GradedTask(Protocol):
    """A task that can also say how near a reply came."""

    @property
    def grade_name(self) -> str:
        """What the mean of the grades is."""
        ...

    def grade(self, problem: Problem, reply: str) -> float:
        """0 to 1."""
        ...


class Task(Protocol):
    """One data module. To add a skill, write one of these and list it in `tasks/__init__.py`."""

    @property
    def name(self) -> str:
        """How recipes and tables call it."""
        ...

    def sample(self, rng: Random, level: float) -> Problem:
        """Draw one problem. level: 0 for the shortest problems, 1 for the full range."""
        ...

    def is_correct(self, problem: Problem, reply: str) -> bool:
        """Whether the visible reply (reasoning removed) answers the problem."""
        ...


def split_of(key: str) -> Split:
    """The side on which every problem with this key lies, the same on every machine and run."""
    if key in FAMOUS:
        return Split.HELD_OUT
    first_byte = hashlib.blake2b(key.encode(), digest_size=1).digest()[0]
    return Split.HELD_OUT if first_byte < HELD_OUT_SHARE_256 else Split.TRAIN


def draw(task: Task, rng: Random, split: Split, level: float = 1.0) -> Problem:
    """Draw a problem of `task` that lies in `split`."""
    while True:
        problem = task.sample(rng, level)
        if split_of(problem.key) is split:
            return problem


def scaled(level: float, low: int, high: int) -> int:
    """The upper bound of a size at this level: `low` at 0, `high` at 1."""
    return low + round((high - low) * max(0.0, min(1.0, level)))
