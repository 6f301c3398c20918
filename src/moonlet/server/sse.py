"""Server-sent events: the lines of a stream."""

from __future__ import annotations

import json
from typing import Any

COMMENT = b": keep-alive\n\n"
"""A line that means nothing, to say that the stream lives."""

# Made once: json.dumps with options of its own makes an encoder a call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

DONE = b"data: [DONE]\n\n"
"""How an OpenAI-style stream ends."""


def to_json(value: Any) -> bytes:
    """JSON as it goes over the wire."""
    return _ENCODER.encode(value).encode("utf-8", "replace")


def data(value: Any) -> bytes:
    """A chunk without a name."""
    return b"data: " + to_json(value) + b"\n\n"


def event(name: str, value: Any) -> bytes:
    """A chunk under its name."""
    return b"event: " + name.encode() + b"\ndata: " + to_json(value) + b"\n\n"
