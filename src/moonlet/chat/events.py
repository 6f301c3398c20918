"""What a reply consists of, in the order in which it is streamed.

First reasoning, then content, then tool calls; each kind may be absent. For one call: ToolCallStart, any number of
ToolCallArguments, ToolCallEnd, and only then the next call's start. `index` counts the calls of this reply from 0.
Texts are never empty and never end inside a character.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of the thinking, exactly as sampled."""

    text: str


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """More of the answer, exactly as sampled."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStart:
    """A call begins. `id` is `functions.NAME:INDEX` with the index counted over the conversation."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallArguments:
    """More of the call's arguments: JSON text as sampled, which the model may get wrong or be cut off in."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallEnd:
    """The call is closed; it is also closed if the reply ends inside it."""

    index: int


Event = ReasoningDelta | ContentDelta | ToolCallStart | ToolCallArguments | ToolCallEnd
