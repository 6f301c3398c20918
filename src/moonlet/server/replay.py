"""Arguments of tool calls as they were sampled, for clients that send them back in another spelling.

Many clients parse the arguments and write them anew, `{"a": 1}` as `{"a":1}`. The prompt would then differ from what
the model emitted, and everything from the first call on would be read again. Equal JSON is put back as it was sampled.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

from moonlet.chat.messages import Message, ToolCall

MAX_CALLS = 8192
MAX_CHARS = 32 << 20


class SampledArguments:
    """The latest calls that were sampled. Safe to use from threads."""

    def __init__(self, max_calls: int = MAX_CALLS, max_chars: int = MAX_CHARS) -> None:
        self._max_calls, self._max_chars = max_calls, max_chars
        self._texts: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._num_chars = 0
        self._lock = Lock()

    def remember(self, calls: Sequence[ToolCall]) -> None:
        """Keep what was sampled. Calls whose arguments are no JSON are sent back as they are anyway."""
        for call in calls:
            meaning = _meaning(call.arguments)
            if meaning is None:
                continue
            with self._lock:
                self._drop((call.name, meaning))
                self._texts[call.name, meaning] = call.arguments
                self._num_chars += len(meaning) + len(call.arguments)
                while len(self._texts) > self._max_calls or self._num_chars > self._max_chars:
                    self._drop(next(iter(self._texts)))

    def restored(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The conversation with the arguments of its calls spelt as they were sampled, where that is known."""
        return tuple(
            replace(message, tool_calls=tuple(map(self._restored, message.tool_calls)))
            if message.tool_calls
            else message
            for message in messages
        )

    def _restored(self, call: ToolCall) -> ToolCall:
        meaning = _meaning(call.arguments)
        if meaning is None:
            return call
        with self._lock:
            sampled = self._texts.get((call.name, meaning))
        return call if sampled is None else replace(call, arguments=sampled)

    def _drop(self, key: tuple[str, str]) -> None:
        dropped = self._texts.pop(key, None)
        if dropped is not None:
            self._num_chars -= len(key[1]) + len(dropped)


def _meaning(arguments: str) -> str | None:
    """One spelling for equal JSON: the keys in order, nothing between tokens. None for what is no JSON."""
    try:
        parsed: Any = json.loads(arguments)
        return json.dumps(parsed, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
