"""What of a finished reply may be shown: the same for every API."""

from __future__ import annotations

import json
import secrets
from typing import Literal

from moonlet.chat.messages import ToolCall
from moonlet.engine.result import Reply

ShownReason = Literal["stop", "length", "tool_calls"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def complete_calls(reply: Reply) -> tuple[ToolCall, ...]:
    """The calls that can be made: a call cut off by the limit is none."""
    return tuple(call for call in reply.tool_calls if is_complete(call.arguments))


def shown_reason(reply: Reply) -> ShownReason:
    """Why the reply ended, in the words every client knows."""
    if reply.finish_reason == "length":
        return "length"
    if reply.finish_reason == "tool_calls" and complete_calls(reply):
        return "tool_calls"
    return "stop"


def is_complete(arguments: str) -> bool:
    """Whether the arguments are a whole JSON object."""
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False


def new_id(prefix: str) -> str:
    """A fresh identifier: the prefix, then 24 letters and digits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(24))
