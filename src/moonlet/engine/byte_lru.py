"""Values kept while there is room for them, by bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class ByteLru(Generic[_Value]):
    """The least recently used is given up first; what alone exceeds the room is not kept. Safe to use from threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, tuple[_Value, int]] = OrderedDict()
        self._lock = Lock()
        self.num_bytes = 0

    def get(self, key: Hashable) -> _Value | None:
        """The value kept under `key`, which is now the most recently used."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: Hashable, value: _Value, num_bytes: int) -> None:
        """Keep `value`, which takes `num_bytes`, in the place of an earlier one under this key."""
        with self._lock:
            if key in self._kept:
                self.num_bytes -= self._kept.pop(key)[1]
            if num_bytes > self._max_bytes:
                return
            self._kept[key] = (value, num_bytes)
            self.num_bytes += num_bytes
            while self.num_bytes > self._max_bytes:
                _, (_, dropped) = self._kept.popitem(last=False)
                self.num_bytes -= dropped
