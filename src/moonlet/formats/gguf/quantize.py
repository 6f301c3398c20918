"""float32 to stored bytes, for every type of the table that can be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from moonlet.errors import CheckpointError, ShapeError
from moonlet.formats.gguf import quantize_simple
from moonlet.formats.gguf.bits import Bytes, Floats
from moonlet.formats.gguf.types import BLOCK_TYPES, BlockType

_CHUNK_WEIGHTS = 1 << 20
"""Quantised at a time: the searches keep a few dozen float32 copies of a chunk."""

QUANTIZERS: Mapping[str, Callable[[Floats], Bytes]] = MappingProxyType(
    {
        "Q4_0": quantize_simple.quantize_q4_0,
        "Q4_1": quantize_simple.quantize_q4_1,
        "Q5_0": quantize_simple.quantize_q5_0,
        "Q5_1": quantize_simple.quantize_q5_1,
        "Q8_0": quantize_simple.quantize_q8_0,
        "IQ4_NL": quantize_simple.quantize_iq4_nl,
        "MXFP4": quantize_simple.quantize_mxfp4,
    }
)
"""By name: [num_blocks, block_weights] float32 to [num_blocks, block_bytes] uint8."""


def writable_types() -> tuple[str, ...]:
    """Names of the types `quantize` can make, in the order of the table."""
    return tuple(row.name for row in BLOCK_TYPES if row.block_weights == 1 or row.name in QUANTIZERS)


def quantize(kind: BlockType, weights: Floats) -> Bytes:
    """Weights to rows of blocks.

    weights: [..., n] float32, n whole blocks.  Returns [..., row bytes] uint8.
    Raises ShapeError for another type or an incomplete block, CheckpointError for a type nothing here can make.
    """
    if weights.dtype != np.float32 or weights.ndim == 0 or weights.shape[-1] % kind.block_weights:
        raise ShapeError(
            f"weights: {weights.dtype} {list(weights.shape)}, expected float32 rows of a multiple of "
            f"{kind.block_weights} values"
        )
    shape = (*weights.shape[:-1], kind.row_bytes(weights.shape[-1]))
    if kind.block_weights == 1:
        return _floats(kind, weights).reshape(shape)
    quantizer = QUANTIZERS.get(kind.name)
    if quantizer is None:
        raise CheckpointError(f"cannot write {kind.name}; expected one of {', '.join(writable_types())}")
    blocks = weights.reshape(-1, kind.block_weights)
    step = max(1, _CHUNK_WEIGHTS // kind.block_weights)
    parts = [quantizer(blocks[start : start + step]) for start in range(0, blocks.shape[0], step)]
    return (np.concatenate(parts) if parts else np.empty((0, kind.block_bytes), dtype=np.uint8)).reshape(shape)


def _floats(kind: BlockType, weights: Floats) -> Bytes:
    if kind.name == "F32":
        return np.ascontiguousarray(weights.astype("<f4")).view(np.uint8)
    if kind.name == "F16":
        return np.ascontiguousarray(weights.astype("<f2")).view(np.uint8)
    assert kind.name == "BF16", kind.name
    raw = np.ascontiguousarray(weights).view(np.uint32)
    # To nearest even: add half a step less one, and the lowest kept bit. NaN keeps a mantissa bit and stays NaN.
    rounded = (raw + np.uint32(0x7FFF) + ((raw >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    nan = (raw & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    kept = np.where(nan, (raw >> np.uint32(16)) | np.uint32(64), rounded)
    return np.ascontiguousarray(kept.astype("<u2")).view(np.uint8)
