"""What every API's request becomes: one turn, and how its reply is to be delivered."""

from __future__ import annotations

from dataclasses import dataclass

from moonlet.engine.turn import Turn


@dataclass(frozen=True, slots=True)
class Job:
    """A checked request for a turn of the assistant.

    stream: as events, or whole at the end.  include_usage: for a chat stream, one more chunk with the usage.
    wants_timings: show where the time went.  prompt_field: what the body calls its conversation.
    """

    turn: Turn
    stream: bool
    include_usage: bool = False
    wants_timings: bool = False
    prompt_field: str = "messages"
