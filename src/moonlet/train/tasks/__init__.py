"""Every skill of K25-nano, one data module each."""

from __future__ import annotations

from moonlet.train.tasks.base import Problem, Split, Task, draw, split_of
from moonlet.train.tasks.charts import Charts
from moonlet.train.tasks.colour_order import ColourOrder
from moonlet.train.tasks.compare import Compare
from moonlet.train.tasks.decimals import Decimals
from moonlet.train.tasks.event_time import EventTime
from moonlet.train.tasks.extract_json import ExtractJson
from moonlet.train.tasks.facts import Facts
from moonlet.train.tasks.identity import Identity, SystemName
from moonlet.train.tasks.letters import Letters
from moonlet.train.tasks.motion import Motion
from moonlet.train.tasks.page import BoxLabels, PageCode
from moonlet.train.tasks.reading import Reading
from moonlet.train.tasks.shapes import Shapes
from moonlet.train.tasks.smalltalk import Smalltalk
from moonlet.train.tasks.sorting import Sorting
from moonlet.train.tasks.sums import Sums
from moonlet.train.tasks.tool_call import ToolCall
from moonlet.train.tasks.tool_chain import ToolChain
from moonlet.train.tasks.tool_refuse import ToolRefuse
from moonlet.train.tasks.transform import Repeat, Reverse, Upper

TEXT_TASKS: tuple[Task, ...] = (
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
TOOL_TASKS: tuple[Task, ...] = (ToolCall(), ToolChain(), ToolRefuse(), ExtractJson())
VISUAL_TASKS: tuple[Task, ...] = (
    Reading(),
    Shapes(),
    Charts(),
    Compare(),
    Motion(),
    ColourOrder(),
    EventTime(),
    BoxLabels(),
    PageCode(),
)
BLIND_TASKS = TEXT_TASKS + TOOL_TASKS  # all that a checkpoint without eyes can be asked
TASKS = BLIND_TASKS + VISUAL_TASKS

__all__ = [
    "BLIND_TASKS",
    "TASKS",
    "TEXT_TASKS",
    "TOOL_TASKS",
    "VISUAL_TASKS",
    "Problem",
    "Split",
    "Task",
    "draw",
    "split_of",
]
