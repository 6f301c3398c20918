"""The recipes, as data: the shipped K25-nano from random weights, and how to go on from it with a new task."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.train.mixture import Stage
from moonlet.train.tasks import TOOL_TASKS, VISUAL_TASKS
from moonlet.train.warmup import WarmUp


@dataclass(frozen=True, slots=True)
class Recipe:
    """eyes: how the tower is warmed up before the stages; None where it is left as it is, or absent.

    doubles_experts: whether the model begins the stages with twice the routed experts of the checkpoint it starts from.
    """

    eyes: WarmUp | None
    stages: tuple[Stage, ...]
    doubles_experts: bool = False


_LATER = dict.fromkeys((task.name for task in TOOL_TASKS + VISUAL_TASKS), 0.0)  # skills that came after these stages
# Relative shares: more where the work is long or the held-out score rises slowly, less where one reply fits all.
_SHARES = _LATER | {
    "decimals": 1.5,
    "sums": 2.5,
    "letters": 1.2,
    "reverse": 1.5,
    "upper": 0.7,
    "sorting": 2.0,
    "repeat": 0.7,
    "identity": 0.4,
    "system_name": 0.4,
    "facts": 1.5,
    "smalltalk": 0.5,
}
# Later on: what was slowest to come by then.
_LATE_SHARES = _SHARES | {"decimals": 2.0, "reverse": 2.0, "sorting": 2.5, "facts": 2.0, "repeat": 1.0}
# At the end: most for the two tasks still below the target, least for what was already right.
_LAST_SHARES = _LATER | {
    "decimals": 1.5,
    "sums": 2.0,
    "letters": 1.5,
    "reverse": 0.8,
    "upper": 1.0,
    "sorting": 4.0,
    "repeat": 1.0,
    "identity": 0.5,
    "system_name": 0.3,
    "facts": 5.0,
    "smalltalk": 0.5,
}
_FINISH_SHARES = _LAST_SHARES | {"sums": 2.5, "reverse": 2.0, "sorting": 4.5, "facts": 7.0, "identity": 0.8}
# Written work in sorting, facts and decimals is new here: most for these, the rest is replay.
_WORK_SHARES = _LATER | {
    "decimals": 2.0,
    "sums": 1.5,
    "letters": 1.0,
    "reverse": 1.5,
    "upper": 0.8,
    "sorting": 4.0,
    "repeat": 0.8,
    "identity": 1.5,
    "system_name": 0.4,
    "facts": 4.0,
    "smalltalk": 0.8,
}
# The rest of the way: numbers of unequal width still to learn, and what the replay had let slip.
_FILL_SHARES = _WORK_SHARES | {
    "decimals": 1.0,
    "sums": 1.8,
    "letters": 1.2,
    "reverse": 2.5,
    "upper": 1.5,
    "repeat": 2.0,
    "identity": 1.0,
    "facts": 3.5,
}
_PEAK = 2e-3
_MIDDLE = 1.2e-3

NANO_STAGES: tuple[Stage, ...] = (
    Stage("warm-up", 300, 0.0, _PEAK, 0.2, quantised=False, history_share=0.0, weights=_SHARES, muon=False),
    Stage("short", 700, _PEAK, _PEAK, 0.5, quantised=False, history_share=0.0, weights=_SHARES, muon=False),
    Stage("full", 1000, _PEAK, _PEAK, 1.0, quantised=False, history_share=0.05, weights=_SHARES),
    Stage("cooler", 1300, _PEAK, _MIDDLE, 1.0, quantised=False, history_share=0.05, weights=_LATE_SHARES),
    Stage(
        "int4 1", 222, _MIDDLE, 1.04e-3, 1.0, quantised=True, history_share=0.1, balance_rate=0.0, weights=_LATE_SHARES
    ),
    Stage("focus", 378, _MIDDLE, _MIDDLE, 1.0, quantised=False, history_share=0.05, weights=_LAST_SHARES),
    Stage("int4", 1700, _MIDDLE, 0.0, 1.0, quantised=True, history_share=0.1, balance_rate=0.0, weights=_LAST_SHARES),
    Stage("again", 60, 0.0, 7e-4, 1.0, quantised=True, history_share=0.1, balance_rate=0.0, weights=_FINISH_SHARES),
    Stage("finish", 840, 7e-4, 0.0, 1.0, quantised=True, history_share=0.1, balance_rate=0.0, weights=_FINISH_SHARES),
    Stage("return", 60, 0.0, _MIDDLE, 1.0, quantised=False, weights=_WORK_SHARES),
    Stage("work", 740, _MIDDLE, _MIDDLE, 1.0, quantised=False, weights=_WORK_SHARES),
    Stage("settle", 900, _MIDDLE, 0.0, 1.0, quantised=True, balance_rate=0.0, weights=_WORK_SHARES),
    Stage("rise", 60, 0.0, _PEAK / 2, 1.0, quantised=False, weights=_FILL_SHARES),
    Stage("fill", 500, _PEAK / 2, _PEAK / 2, 1.0, quantised=False, weights=_FILL_SHARES),
    Stage("rest", 1100, _PEAK / 2, 0.0, 1.0, quantised=True, balance_rate=0.0, weights=_FILL_SHARES),
)

# The eyes before all else, on their own: most for what takes longest to tell apart, letters in many faces.
EYES_WARM_UP = WarmUp(
    steps=6000,
    pictures=96,
    learning_rate=2e-3,
    weights={
        "reading": 8.0,
        "shapes": 1.0,
        "charts": 0.8,
        "compare": 0.5,
        "motion": 2.0,
        "colour_order": 0.5,
        "event_time": 0.4,
        "page_code": 1.2,
        "box_labels": 0.0,  # the same pictures
    },
)
# Eyes and decoder together, the text's tasks as replay.
_SEE_SHARES = {name: 0.7 * share for name, share in _FILL_SHARES.items()} | {
    "reading": 3.0,
    "shapes": 2.0,
    "charts": 2.0,
    "compare": 1.5,
    "motion": 1.0,
    "colour_order": 1.5,
    "event_time": 1.5,
    "page_code": 1.0,
}
# Later on: most for letters, the slowest to come.
_LOOK_CLOSER_SHARES = _SEE_SHARES | {
    "reading": 5.0,
    "shapes": 1.5,
    "compare": 1.0,
    "motion": 0.6,
    "event_time": 2.0,
    "page_code": 1.5,
}
# Then letters above all, which a mixture with little of them had left at one word in four; then what else was behind.
_READ_SHARES = {name: 0.1 * share for name, share in _FILL_SHARES.items()} | {
    "reading": 40.0,
    "page_code": 3.0,
    "event_time": 2.0,
    "charts": 1.5,
    "compare": 1.5,
    "colour_order": 1.0,
    "shapes": 1.0,
    "motion": 0.3,
}
_SHARPEN_SHARES = {name: 0.25 * share for name, share in _FILL_SHARES.items()} | {
    "reading": 14.0,
    "page_code": 6.0,
    "event_time": 4.0,
    "charts": 4.0,
    "compare": 4.0,
    "colour_order": 3.0,
    "shapes": 2.0,
    "motion": 0.6,
}
_SETTLE_SHARES = {name: 0.7 * share for name, share in _FILL_SHARES.items()} | {
    "reading": 8.0,
    "page_code": 4.0,
    "event_time": 3.0,
    "charts": 3.0,
    "compare": 3.0,
    "colour_order": 2.5,
    "shapes": 2.5,
    "motion": 0.6,
}
_SETTLE_AGAIN_SHARES = {name: 0.9 * share for name, share in _FILL_SHARES.items()} | {
    "reading": 8.0,
    "page_code": 5.0,
    "charts": 3.5,
    "compare": 3.0,
    "shapes": 2.5,
    "event_time": 1.5,
    "colour_order": 1.0,
    "motion": 0.4,
}
SEE_STAGES: tuple[Stage, ...] = (
    Stage("look", 30, 0.0, _MIDDLE, 0.3, quantised=True, weights=_SEE_SHARES),
    Stage("glance", 170, _MIDDLE, _MIDDLE, 0.5, quantised=True, weights=_SEE_SHARES),
    Stage("see", 567, _MIDDLE, _MIDDLE, 1.0, quantised=True, weights=_SEE_SHARES),
    Stage("look closer", 483, _MIDDLE, _MIDDLE, 1.0, quantised=True, weights=_LOOK_CLOSER_SHARES),
    Stage("see well", 500, _MIDDLE, 0.0, 1.0, quantised=True, balance_rate=0.0, weights=_LOOK_CLOSER_SHARES),
    Stage("turn", 40, 0.0, _MIDDLE, 1.0, quantised=True, weights=_READ_SHARES),
    Stage("read", 560, _MIDDLE, _MIDDLE, 1.0, quantised=True, weights=_READ_SHARES),
    Stage("sharpen", 700, _MIDDLE, _MIDDLE, 1.0, quantised=True, weights=_SHARPEN_SHARES),
    Stage("settle", 800, _MIDDLE, 0.0, 1.0, quantised=True, balance_rate=0.0, weights=_SETTLE_SHARES),
    Stage("turn again", 40, 0.0, _MIDDLE, 1.0, quantised=True, weights=_SHARPEN_SHARES),
    Stage("sharpen again", 1000, _MIDDLE, _MIDDLE, 1.0, quantised=True, weights=_SHARPEN_SHARES),
    Stage("settle again", 1200, _MIDDLE, 0.0, 1.0, quantised=True, balance_rate=0.0, weights=_SETTLE_AGAIN_SHARES),
)

# Tools and JSON, with twice the experts to hold them, and what was slow to come among the pictures.
_TOOLS_IN_SHARES = {name: 0.8 * share for name, share in _FILL_SHARES.items()} | {
    "tool_call": 3.0,
    "tool_chain": 2.5,
    "tool_refuse": 2.0,
    "extract_json": 1.5,
    "reading": 7.0,
    "box_labels": 3.0,
    "page_code": 2.0,
    "event_time": 1.2,
    "charts": 3.0,
    "compare": 2.5,
    "colour_order": 1.0,
    "shapes": 2.5,
    "motion": 0.4,
}
_SETTLE_ALL_SHARES = (
    _TOOLS_IN_SHARES
    | {name: 0.9 * share for name, share in _FILL_SHARES.items() if name not in _LATER}
    | {
        "tool_call": 2.2,
        "tool_chain": 1.8,
        "tool_refuse": 1.2,
        "extract_json": 1.2,
        "box_labels": 1.5,
        "event_time": 1.0,
    }
)
# With the tools looked through one by one before each call, where the name had to be found at once until then.
_MORE_TOOLS_SHARES = _TOOLS_IN_SHARES | {
    "tool_call": 4.0,
    "tool_refuse": 2.5,
    "extract_json": 2.5,
    "box_labels": 2.5,
    "page_code": 1.2,
    "event_time": 0.6,
    "charts": 2.5,
    "colour_order": 0.6,
    "shapes": 3.0,
    "motion": 0.3,
}
_SETTLE_MORE_SHARES = (
    _MORE_TOOLS_SHARES
    | {name: 0.9 * share for name, share in _FILL_SHARES.items() if name not in _LATER}
    | {
        "tool_call": 3.0,
        "tool_chain": 2.2,
        "tool_refuse": 1.8,
        "extract_json": 2.0,
        "box_labels": 2.0,
        "compare": 2.0,
    }
)
TOOL_STAGES: tuple[Stage, ...] = (
    Stage("tools in", 60, 0.0, _MIDDLE, 1.0, quantised=True, weights=_TOOLS_IN_SHARES),
    Stage("tools", 1140, _MIDDLE, _MIDDLE, 1.0, quantised=True, weights=_TOOLS_IN_SHARES),
    Stage("settle all", 1900, _MIDDLE, 0.0, 1.0, quantised=True, balance_rate=0.0, weights=_SETTLE_ALL_SHARES),
    Stage("rise all", 40, 0.0, _MIDDLE, 1.0, quantised=True, weights=_MORE_TOOLS_SHARES),
    Stage("more tools", 900, _MIDDLE, _MIDDLE, 1.0, quantised=True, weights=_MORE_TOOLS_SHARES),
    Stage("settle more", 1200, _MIDDLE, 0.0, 1.0, quantised=True, balance_rate=0.0, weights=_SETTLE_MORE_SHARES),
)

# From a finished checkpoint: a gentle start, since the momenta are gone, and every old task in the mixture as replay.
# A new task starts with share 1; give it more in `_FILL_SHARES` if it is slow to come.
CONTINUE_STAGES: tuple[Stage, ...] = (
    Stage("return", 100, 0.0, _PEAK / 2, 1.0, quantised=True, history_share=0.1, weights=_FILL_SHARES),
    Stage("more", 1000, _PEAK / 2, _PEAK / 2, 1.0, quantised=True, history_share=0.1, weights=_FILL_SHARES),
    Stage(
        "settle", 900, _PEAK / 2, 0.0, 1.0, quantised=True, history_share=0.1, balance_rate=0.0, weights=_FILL_SHARES
    ),
)

NANO = Recipe(None, NANO_STAGES)  # from random weights: text alone
SEE = Recipe(EYES_WARM_UP, SEE_STAGES)  # from a checkpoint of text alone
USE_TOOLS = Recipe(None, TOOL_STAGES, doubles_experts=True)  # from one that sees
CONTINUE = Recipe(None, CONTINUE_STAGES)
