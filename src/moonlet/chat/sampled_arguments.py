"""Arguments of tool calls as they were sampled, for clients that send them back in another spelling.

Many clients parse the arguments and write them anew, `{"a": 1}` as `{"a":1}`. The prompt would then differ from what
the model emitted, and everything from the first call on would be read again. Equal JSON is put back as it was sampled.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any

from moonlet.chat.messages import Message, ToolCall

if TYPE_CHECKING:
    from moonlet.cache import DiskTier

MAX_CALLS = 8192
MAX_CHARS = 32 << 20
MAX_SAVED_BYTES = 1 << 20
"""Arguments that are longer are not kept on the disk."""


class SampledArguments:
    """The latest calls that were sampled. Safe to use from threads."""

    def __init__(self, disk: DiskTier | None = None, *, max_calls: int = MAX_CALLS, max_chars: int = MAX_CHARS) -> None:
        """disk: keeps them beyond these limits and this run."""
        self._disk = disk
        self._max_calls, self._max_chars = max_calls, max_chars
        self._texts: OrderedDict[bytes, str] = OrderedDict()
        self._num_chars = 0
        self._lock = Lock()

    def remember(self, calls: Sequence[ToolCall]) -> None:
        """Keep what was sampled. Calls whose arguments are no JSON are sent back as they are anyway."""
        for call in calls:
            key = _key(call)
            if key is None:
                continue
            self._keep(key, call.arguments)
            if self._disk is not None and 4 * len(call.arguments) <= MAX_SAVED_BYTES:
                self._disk.save_arguments(key, call.arguments)

    def restored(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The conversation with the arguments of its calls spelt as they were sampled, where that is known."""
        return tuple(
            replace(message, tool_calls=tuple(map(self._restored, message.tool_calls)))
            if message.tool_calls
            else message
            for message in messages
        )

    def _restored(self, call: ToolCall) -> ToolCall:
        key = _key(call)
        sampled = None if key is None else self._find(key)
        return call if sampled is None else replace(call, arguments=sampled)

    def _find(self, key: bytes) -> str | None:
        with self._lock:
            sampled = self._texts.get(key)
            if sampled is not None:
                self._texts.move_to_end(key)
        if self._disk is None:
            return sampled
        if sampled is not None:
            self._disk.touch_note("arguments", key)
            return sampled
        found = self._disk.load_arguments(key, MAX_SAVED_BYTES)
        if found is not None:
            self._keep(key, found)
        return found

    def _keep(self, key: bytes, text: str) -> None:
        with self._lock:
            self._num_chars += len(text) - len(self._texts.pop(key, ""))
            self._texts[key] = text
            while len(self._texts) > self._max_calls or self._num_chars > self._max_chars:
                self._num_chars -= len(self._texts.popitem(last=False)[1])


def _key(call: ToolCall) -> bytes | None:
    """The same for calls of one function with equal JSON, however it is spelt. None for what is no JSON."""
    try:
        arguments: Any = json.loads(call.arguments)
        meaning = json.dumps([call.name, arguments], sort_keys=True)
    except (ValueError, RecursionError):
        return None
    return blake2b(meaning.encode(), digest_size=16).digest()
