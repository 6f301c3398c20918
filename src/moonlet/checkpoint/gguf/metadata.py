"""A typed view of a GGUF file's metadata that knows which keys have been read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from moonlet.checkpoint.gguf.cursor import Value
from moonlet.config.json_file import one_line
from moonlet.errors import ConfigError

_Plain = TypeVar("_Plain", bool, int, float, str)


class Metadata:
    """Facts by key. A missing or mistyped one raises ConfigError naming file and key."""

    def __init__(self, values: Mapping[str, Value], file_name: str) -> None:
        self._values = values
        self.file_name = file_name
        self._used: set[str] = set()

    def name(self, key: str) -> str:
        """The key as messages name it."""
        return f"{self.file_name}: {key}"

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._values

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number; `default` where the key is absent and absence has a meaning."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._mistyped(key, value, "a whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number. The file holds float32; the shortest decimal with that value is what was published."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._mistyped(key, value, "a number")
        if not math.isfinite(value) or abs(value) > 1e30:
            raise self._mistyped(key, value, "a finite number")
        return float(str(np.float32(value)))

    def boolean(self, key: str, default: bool | None = None) -> bool:
        """True or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self._mistyped(key, value, "true or false")
        return value

    def string(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self._mistyped(key, value, "a string")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self._take(key, None)
        if not isinstance(value, tuple):
            raise self._mistyped(key, value, "a list of strings")
        return value

    def integers(self, key: str) -> list[int]:
        """A list of whole numbers."""
        value = self._take(key, None)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
            raise self._mistyped(key, value, "a list of whole numbers")
        numbers: list[int] = value.tolist()
        return numbers

    def numbers(self, key: str) -> list[float]:
        """A list of numbers."""
        value = self._take(key, None)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
            raise self._mistyped(key, value, "a list of numbers")
        numbers: list[float] = value.tolist()
        return numbers

    def matching(self, prefix: str) -> tuple[str, ...]:
        """The keys that begin with `prefix`."""
        return tuple(key for key in self._values if key.startswith(prefix))

    def unused(self) -> tuple[str, ...]:
        """Keys nothing has read, sorted."""
        return tuple(sorted(one_line(key, 80) for key in self._values if key not in self._used))

    def _take(self, key: str, default: _Plain | None) -> Value:
        self._used.add(key)
        value = self._values.get(key, default)
        if value is None:
            raise ConfigError(f"{self.name(key)} is missing; the file is incomplete or of another architecture")
        return value

    def _mistyped(self, key: str, value: Value, expected: str) -> ConfigError:
        kind = "a list" if isinstance(value, tuple | np.ndarray) else one_line(repr(value), 60)
        return ConfigError(f"{self.name(key)} is {kind}, expected {expected}")
