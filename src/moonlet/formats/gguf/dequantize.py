"""Stored bytes to float32, for every type of the table."""

from __future__ import annotations

import numpy as np

from moonlet.errors import ShapeError
from moonlet.formats.gguf.bits import Bytes, Floats, half
from moonlet.formats.gguf.groups import Int8Groups
from moonlet.formats.gguf.types import BlockType


def expand(kind: BlockType, rows: Bytes) -> Int8Groups:
    """Blocks to int8 codes with scales, block after block in the order of the rows.

    rows: [..., bytes] uint8, whole blocks a row. Raises ShapeError otherwise, or for a type of plain floats.
    """
    if kind.expand is None:
        raise ShapeError(f"{kind.name} holds plain floats, which have no int8 groups")
    return kind.expand(_blocks(kind, rows))


def dequantize(kind: BlockType, rows: Bytes) -> Floats:
    """The weights as float32, to the last bit what ggml gives.

    rows: [..., bytes] uint8, whole blocks a row.  Returns [..., weights].  Raises ShapeError otherwise.
    """
    blocks = _blocks(kind, rows)
    shape = (*rows.shape[:-1], rows.shape[-1] // kind.block_bytes * kind.block_weights)
    if kind.expand is not None:
        return kind.expand(blocks).dequantize().reshape(shape)
    if kind.name == "F32":
        return blocks.view("<f4").astype(np.float32).reshape(shape)
    if kind.name == "F16":
        return half(blocks).reshape(shape)
    assert kind.name == "BF16", kind.name
    # A bfloat16 is the upper half of a float32.
    wide = blocks.view("<u2").astype(np.uint32) << np.uint32(16)
    return wide.view(np.float32).reshape(shape)


def _blocks(kind: BlockType, rows: Bytes) -> Bytes:
    if rows.dtype != np.uint8 or rows.ndim == 0 or rows.shape[-1] % kind.block_bytes:
        raise ShapeError(
            f"{kind.name} rows have shape {list(rows.shape)} {rows.dtype}, "
            f"expected uint8 with a multiple of {kind.block_bytes} bytes last"
        )
    return np.ascontiguousarray(rows).reshape(-1, kind.block_bytes)
