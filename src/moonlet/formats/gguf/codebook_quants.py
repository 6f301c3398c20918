"""Super-blocks of 256 weights coded as entries of a codebook: IQ1_S to IQ3_S, and the scaled levels of IQ4_XS.

A codebook entry is 8 (IQ3: 4) magnitudes; signs are stored apart, either one bit a weight or 7 bits for 8 weights
with even parity. IQ1 entries are -1, 0 or 1 plus a common shift of an eighth, here multiplied by 8 to be whole.

Source of the layouts: ggml-common.h and ggml-quants.c of llama.cpp.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moonlet.formats.gguf.bits import Bytes, Codes, Floats, cut, half, longs, spread, words
from moonlet.formats.gguf.codebooks import (
    IQ1_GRID,
    IQ2_S_GRID,
    IQ2_XS_GRID,
    IQ2_XXS_GRID,
    IQ3_S_GRID,
    IQ3_XXS_GRID,
    IQ4_VALUES,
    PARITY_SIGNS,
)
from moonlet.formats.gguf.groups import Int8Groups

_QUARTER = np.float32(0.25)
_HALF = np.float32(0.5)


def _signed(magnitudes: Codes, signs: Bytes) -> Codes:
    """Negate the weights whose bit is set. magnitudes: [n, k, w] int8.  signs: [n, k w / 8], bit j for weight j."""
    n = magnitudes.shape[0]
    flips = spread(signs, 1, 1).view(np.int8)
    return magnitudes.reshape(n, -1) * (np.int8(1) - np.int8(2) * flips)


def _sevens(packed: NDArray[np.uint32]) -> Bytes:
    """Four sign bytes from the low 28 bits of each word: [n, k] to [n, 4 k]."""
    index = (packed[:, :, None] >> np.array([0, 7, 14, 21], dtype=np.uint32)) & np.uint32(127)
    signs: Bytes = PARITY_SIGNS[index]
    return signs.reshape(packed.shape[0], -1)


def _half_steps(d: Bytes, scales: NDArray[np.uint8] | NDArray[np.uint32], factor: np.float32) -> Floats:
    """(d * (s + 1/2)) * factor."""
    steps: Floats = half(d) * (_HALF + scales.astype(np.float32)) * factor
    return steps


def expand_iq2_xxs(blocks: Bytes) -> Int8Groups:
    """Groups of 32 in 8 bytes: four entry numbers, then 4 x 7 sign bits and a 4-bit scale."""
    d, quants = cut(blocks, 2, 64)
    pairs = quants.reshape(-1, 8, 8)
    tail = longs(pairs[:, :, 4:].reshape(-1, 32))
    codes = _signed(IQ2_XXS_GRID[pairs[:, :, :4].reshape(-1, 32)], _sevens(tail))
    return Int8Groups(codes, _half_steps(d, tail >> np.uint32(28), _QUARTER), None)


def expand_iq2_xs(blocks: Bytes) -> Int8Groups:
    """Groups of 16: a word for 8 weights holds a 9-bit entry number and 7 sign bits; 4-bit scales, low first."""
    d, quants, scales = cut(blocks, 2, 64, 8)
    entries = words(quants)
    codes = _signed(IQ2_XS_GRID[entries & np.uint16(511)], PARITY_SIGNS[entries >> np.uint16(9)])
    return Int8Groups(codes, _half_steps(d, spread(scales, 1, 4), _QUARTER), None)


def expand_iq2_s(blocks: Bytes) -> Int8Groups:
    """Groups of 16: 10-bit entry numbers (8 low bits, then 2 high bits four to a byte) and a sign bit a weight."""
    d, low, signs, high, scales = cut(blocks, 2, 32, 32, 8, 8)
    entries = low.astype(np.uint16) | (spread(high, 1, 2).astype(np.uint16) << np.uint16(8))
    return Int8Groups(_signed(IQ2_S_GRID[entries], signs), _half_steps(d, spread(scales, 1, 4), _QUARTER), None)


def expand_iq3_xxs(blocks: Bytes) -> Int8Groups:
    """Groups of 32: eight entry numbers of 4 weights; 4 x 7 sign bits and a 4-bit scale in a word apart."""
    d, entries, packed = cut(blocks, 2, 64, 32)
    tail = longs(packed)
    codes = _signed(IQ3_XXS_GRID[entries], _sevens(tail))
    return Int8Groups(codes, _half_steps(d, tail >> np.uint32(28), _HALF), None)


def expand_iq3_s(blocks: Bytes) -> Int8Groups:
    """Groups of 32: d * (1 + 2 s); 9-bit entry numbers of 4 weights, their high bits apart; a sign bit a weight."""
    d, low, high, signs, scales = cut(blocks, 2, 64, 8, 32, 4)
    entries = low.astype(np.uint16) | (spread(high, 1, 1).astype(np.uint16) << np.uint16(8))
    steps = half(d) * (np.float32(1) + np.float32(2) * spread(scales, 1, 4).astype(np.float32))
    return Int8Groups(_signed(IQ3_S_GRID[entries], signs), steps, None)


def _shifted(entries: NDArray[np.uint16], negative: NDArray[np.bool_]) -> Codes:
    """8 * entry + 1, or - 1 where `negative`: [n, k] entries of 8 weights to [n, 8 k] codes."""
    shift = np.where(negative, -1, 1).astype(np.int8)
    codes: Codes = IQ1_GRID[entries] * np.int8(8) + shift[:, :, None]
    return codes.reshape(entries.shape[0], -1)


def expand_iq1_s(blocks: Bytes) -> Int8Groups:
    """Groups of 32: a word holds 4 x 3 high bits of entry numbers, a 3-bit scale and the sign of the shift."""
    d, low, high = cut(blocks, 2, 32, 16)
    tail = words(high)
    top = (tail[:, :, None] >> np.array([0, 3, 6, 9], dtype=np.uint16)) & np.uint16(7)
    entries = low.astype(np.uint16) | (top.reshape(-1, 32) << np.uint16(8))
    negative = np.repeat((tail & np.uint16(0x8000)) != 0, 4, axis=1)
    steps = half(d) * (2 * ((tail >> np.uint16(12)) & np.uint16(7)) + 1).astype(np.float32)
    # Dividing by 8 moves the exponent alone, so (step / 8) * (8 entry + 1) rounds as step * (entry + 1/8) does.
    return Int8Groups(_shifted(entries, negative), steps * np.float32(0.125), None)


def expand_iq1_m(blocks: Bytes) -> Int8Groups:
    """Groups of 16: nibbles of 3 high entry bits and the shift's sign; four words hold 3-bit scales and, in their
    top nibbles, the block's half."""
    low, high, scales = cut(blocks, 32, 16, 8)
    tail = words(scales)
    pieces = (tail >> np.uint16(12)) << np.array([0, 4, 8, 12], dtype=np.uint16)
    d = np.bitwise_or.reduce(pieces, axis=1, keepdims=True).astype("<u2").view("<f2").astype(np.float32)
    small = (tail[:, :, None] >> np.array([0, 3, 6, 9], dtype=np.uint16)) & np.uint16(7)
    nibbles = spread(high, 1, 4)
    entries = low.astype(np.uint16) | ((nibbles & np.uint8(7)).astype(np.uint16) << np.uint16(8))
    steps = d * (2 * small.reshape(-1, 16) + 1).astype(np.float32)
    return Int8Groups(_shifted(entries, (nibbles & np.uint8(8)) != 0), steps * np.float32(0.125), None)


def expand_iq4_xs(blocks: Bytes) -> Int8Groups:
    """Groups of 32: (d * (s - 32)) * value[q]; 6-bit scales in nibbles and, apart, bit pairs; nibbles as in Q4_0."""
    d, high, low, quants = cut(blocks, 2, 2, 4, 128)
    scales = spread(low, 1, 4) | (spread(high, 1, 2) << np.uint8(4))
    steps = half(d) * (scales.astype(np.int8) - np.int8(32)).astype(np.float32)
    return Int8Groups(IQ4_VALUES[spread(quants, 16, 4)], steps, None)
