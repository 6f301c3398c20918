"""Reading the bytes of a GGUF header, none of which is trusted."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moonlet.config.json_file import one_line
from moonlet.errors import CheckpointError

MAX_KEY_BYTES = 65_535
MAX_STRING_BYTES = 64 << 20
MAX_ARRAY_ITEMS = 1 << 24

STRING, ARRAY, BOOL = 8, 9, 7
_SCALARS = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", BOOL: "<u1", 10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip

Value = bool | int | float | str | tuple[str, ...] | NDArray[Any]
"""A metadata value; arrays of numbers come as numpy arrays of the stored type, arrays of strings as tuples."""


class Cursor:
    """A position in a buffer; every read is checked against the end first. Errors name the file and the place."""

    def __init__(self, data: memoryview, file_name: str) -> None:
        self._data = data
        self.file_name = file_name
        self.position = 0

    def fail(self, problem: str) -> CheckpointError:
        """An error that names the file; `problem` says what was found and what was expected."""
        return CheckpointError(f"{self.file_name}: {problem}")

    def take(self, num_bytes: int, what: str) -> memoryview:
        """The next bytes. Raises CheckpointError if the file ends before."""
        left = len(self._data) - self.position
        if num_bytes > left:
            raise self.fail(
                f"{what} needs {num_bytes:,} bytes at {self.position:,}, but only {left:,} are left; "
                "the file is cut short or damaged, fetch it again"
            )
        piece = self._data[self.position : self.position + num_bytes]
        self.position += num_bytes
        return piece

    def u32(self, what: str) -> int:
        """A little-endian 32-bit count or number."""
        return int(struct.unpack("<I", self.take(4, what))[0])

    def u64(self, what: str) -> int:
        """A little-endian 64-bit count or number."""
        return int(struct.unpack("<Q", self.take(8, what))[0])

    def text(self, what: str, max_bytes: int = MAX_STRING_BYTES) -> str:
        """A length and that many bytes of UTF-8."""
        length = self.u64(what)
        if length > max_bytes:
            raise self.fail(f"{what} claims {length:,} bytes, expected at most {max_bytes:,}")
        try:
            return str(self.take(length, what), "utf-8")
        except UnicodeDecodeError:
            raise self.fail(f"{what} is not UTF-8; the file is damaged, fetch it again") from None

    def value(self, key: str) -> Value:
        """The value of metadata `key`: its type, then its bytes."""
        what = f"metadata {one_line(key, 80)}"
        kind = self.u32(what)
        if kind == STRING:
            return self.text(what)
        if kind == ARRAY:
            return self._array(what)
        found = self._numbers(kind, 1, what)
        scalar: bool | int | float = found[0].item()
        return scalar

    def _array(self, what: str) -> Value:
        kind = self.u32(what)
        count = self.u64(what)
        if count > MAX_ARRAY_ITEMS:
            raise self.fail(f"{what} claims {count:,} items, expected at most {MAX_ARRAY_ITEMS:,}")
        if kind == ARRAY:
            raise self.fail(f"{what} is an array of arrays, expected numbers or strings; no model needs one")
        if kind == STRING:
            # Each string takes 8 bytes at least: a huge count fails here, before a list is built.
            if count * 8 > len(self._data) - self.position:
                self.take(count * 8, what)
            return tuple([self.text(what) for _ in range(count)])
        return self._numbers(kind, count, what)

    def _numbers(self, kind: int, count: int, what: str) -> NDArray[Any]:
        dtype = _SCALARS.get(kind)
        if dtype is None:
            raise self.fail(f"{what} has value type {kind}, expected one of 0 to 12")
        values = np.frombuffer(self.take(count * np.dtype(dtype).itemsize, what), dtype=dtype)
        if kind != BOOL:
            return values
        if bool((values > 1).any()):
            raise self.fail(f"{what} is a truth value of {int(values.max())}, expected 0 or 1")
        return values.astype(np.bool_)
