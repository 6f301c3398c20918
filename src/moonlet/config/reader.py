"""A typed view of one JSON object that knows its own name and which of its keys have been read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from moonlet.config.json_file import JsonObject, one_line
from moonlet.errors import ConfigError


class ObjectReader:
    """Take facts out of a JSON object by name; whatever is never asked for is listed by `unused`."""

    def __init__(self, source: JsonObject, where: str, path: str = "") -> None:
        """where: the file's name for messages.  path: dotted name of this object, ending in "." unless at the top."""
        self._source = source
        self._where = where
        self._path = path
        self._used: set[str] = set()
        self._children: list[ObjectReader] = []

    def name(self, key: str) -> str:
        """The key as a message names it, such as "config.json: text_config.hidden_size"."""
        return f"{self._where}: {self._path}{one_line(key, 80)}"

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self._source.get(key) is not None

    def value(self, key: str) -> Any:
        """The raw value. Raises ConfigError if the key is missing."""
        self._used.add(key)
        if key not in self._source:
            raise ConfigError(
                f"{self.name(key)} is missing; a model fact has no default, "
                "take config.json from the checkpoint's source"
            )
        return self._source[key]

    def optional(self, key: str) -> Any:
        """The raw value, or None where it is null or absent."""
        self._used.add(key)
        return self._source.get(key)

    def integer(self, key: str) -> int:
        """An integer. Raises ConfigError if missing or of another type."""
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._mistyped(key, value, "an integer")
        return value

    def number(self, key: str) -> float:
        """A finite number. Raises ConfigError if missing, of another type or not finite."""
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._mistyped(key, value, "a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ConfigError(f"{self.name(key)} is out of range, expected a finite number")
        return number

    def boolean(self, key: str) -> bool:
        """True or false. Raises ConfigError if missing or of another type."""
        value = self.value(key)
        if not isinstance(value, bool):
            raise self._mistyped(key, value, "true or false")
        return value

    def string(self, key: str) -> str:
        """A string. Raises ConfigError if missing or of another type."""
        value = self.value(key)
        if not isinstance(value, str):
            raise self._mistyped(key, value, "a string")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings. Raises ConfigError if missing or of another type."""
        value = self.value(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._mistyped(key, value, "a list of strings")
        return tuple(value)

    def integers(self, key: str) -> tuple[int, ...]:
        """An integer or a list of integers, as a tuple. Raises ConfigError if missing or of another type."""
        value = self.value(key)
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            raise self._mistyped(key, value, "an integer or a list of integers")
        return tuple(items)

    def object(self, key: str) -> ObjectReader:
        """The object under `key`. Raises ConfigError if missing or of another type."""
        value = self.value(key)
        if not isinstance(value, dict):
            raise self._mistyped(key, value, "an object")
        child = ObjectReader(value, self._where, f"{self._path}{one_line(key, 80)}.")
        self._children.append(child)
        return child

    def names(self) -> tuple[str, ...]:
        """Every key of this object."""
        return tuple(self._source)

    def must_be(self, key: str, expected: Any, reason: str) -> None:
        """Refuse any value of `key` other than `expected`; absent and null are accepted as `expected`."""
        value = self.optional(key)
        if value is not None and value != expected:
            raise ConfigError(f"{self.name(key)} is {_show(value)}, expected {_show(expected)}: {reason}")

    def unused(self) -> Iterator[str]:
        """Dotted names of keys that were never asked for, here and in the objects taken from here."""
        yield from (f"{self._path}{one_line(key, 80)}" for key in self._source if key not in self._used)
        for child in self._children:
            yield from child.unused()

    def _mistyped(self, key: str, value: Any, expected: str) -> ConfigError:
        return ConfigError(f"{self.name(key)} is {_show(value)}, expected {expected}")


def _show(value: Any) -> str:
    """A foreign value as JSON-like text short enough for a message."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge integer"
    return one_line(repr(value), 80)
