"""Cutting packed bytes into fields: the handful of moves every block layout is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Codes = NDArray[np.int8]
Floats = NDArray[np.float32]


def cut(blocks: Bytes, *sizes: int) -> list[Bytes]:
    """Split [n, sum(sizes)] bytes into consecutive columns of the given widths. A wrong sum is our own mistake."""
    assert blocks.shape[1] == sum(sizes), (blocks.shape, sizes)
    ends = np.cumsum(sizes)
    return [blocks[:, end - size : end] for end, size in zip(ends.tolist(), sizes, strict=True)]


def half(packed: Bytes) -> Floats:
    """[n, 2 k] bytes as k little-endian IEEE halves, widened exactly to float32 [n, k]."""
    return np.ascontiguousarray(packed).view("<f2").astype(np.float32)


def words(packed: Bytes) -> NDArray[np.uint16]:
    """[n, 2 k] bytes as k little-endian 16-bit words [n, k]."""
    return np.ascontiguousarray(packed).view("<u2").astype(np.uint16)


def longs(packed: Bytes) -> NDArray[np.uint32]:
    """[n, 4 k] bytes as k little-endian 32-bit words [n, k]."""
    return np.ascontiguousarray(packed).view("<u4").astype(np.uint32)


def spread(packed: Bytes, width: int, bits: int) -> Bytes:
    """Unpack `bits`-wide fields (1, 2 or 4) from [n, k] bytes into [n, k * 8 / bits].

    Each run of `width` bytes yields 8 / bits runs of `width` fields, the lowest bits of every byte first. Width 1
    is the plain little-endian order; ggml uses the wider runs so that a vector register unpacks with one shift.
    """
    n = packed.shape[0]
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    fields = (packed.reshape(n, -1, 1, width) >> shifts) & np.uint8((1 << bits) - 1)
    return fields.reshape(n, -1)


def gather(fields: Bytes, width: int, bits: int) -> Bytes:
    """The inverse of `spread`: [n, k] fields into [n, k * bits / 8] bytes."""
    n = fields.shape[0]
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    parts = fields.astype(np.uint8).reshape(n, -1, 8 // bits, width) << shifts
    packed: Bytes = np.bitwise_or.reduce(parts, axis=2).reshape(n, -1)
    return packed


def half_bytes(values: Floats) -> Bytes:
    """[n] or [n, k] float32 as little-endian IEEE halves (round to nearest even), [n, 2 k] bytes."""
    columns = values if values.ndim == 2 else values[:, None]
    return np.ascontiguousarray(columns.astype("<f2")).view(np.uint8)
