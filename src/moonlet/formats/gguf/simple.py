"""Blocks of 32 (NVFP4: 64) weights with their own scales: Q4_0 to Q8_0, IQ4_NL, MXFP4, NVFP4.

Source of the layouts: ggml-common.h and ggml-quants.c of llama.cpp.
"""

from __future__ import annotations

import numpy as np

from moonlet.formats.gguf.bits import Bytes, Floats, cut, half, spread
from moonlet.formats.gguf.codebooks import E2M1_DOUBLED, IQ4_VALUES
from moonlet.formats.gguf.groups import Int8Groups


def expand_q4_0(blocks: Bytes) -> Int8Groups:
    """d * (q - 8); half d, then 16 bytes with weight j low and weight j + 16 high."""
    d, quants = cut(blocks, 2, 16)
    return Int8Groups(spread(quants, 16, 4).astype(np.int8) - np.int8(8), half(d), None)


def expand_q4_1(blocks: Bytes) -> Int8Groups:
    """d * q + m; halves d and m, then nibbles as in Q4_0."""
    d, m, quants = cut(blocks, 2, 2, 16)
    return Int8Groups(spread(quants, 16, 4).astype(np.int8), half(d), -half(m))


def _five_bits(high: Bytes, low: Bytes) -> Bytes:
    """Nibbles as in Q4_0 with a fifth bit each, weight j's at bit j of a little-endian 32-bit word."""
    return spread(low, 16, 4) | (spread(high, 1, 1) << np.uint8(4))


def expand_q5_0(blocks: Bytes) -> Int8Groups:
    """d * (q - 16)."""
    d, high, low = cut(blocks, 2, 4, 16)
    return Int8Groups(_five_bits(high, low).astype(np.int8) - np.int8(16), half(d), None)


def expand_q5_1(blocks: Bytes) -> Int8Groups:
    """d * q + m."""
    d, m, high, low = cut(blocks, 2, 2, 4, 16)
    return Int8Groups(_five_bits(high, low).astype(np.int8), half(d), -half(m))


def expand_q8_0(blocks: Bytes) -> Int8Groups:
    """d * q."""
    d, quants = cut(blocks, 2, 32)
    return Int8Groups(quants.view(np.int8), half(d), None)


def expand_iq4_nl(blocks: Bytes) -> Int8Groups:
    """d * value[q], sixteen uneven levels; nibbles as in Q4_0."""
    d, quants = cut(blocks, 2, 16)
    return Int8Groups(IQ4_VALUES[spread(quants, 16, 4)], half(d), None)


def e8m0_halved(exponents: Bytes) -> Floats:
    """2 ** (e - 128): an E8M0 scale, halved since the E2M1 levels are stored doubled to be whole."""
    return np.ldexp(np.float32(1), exponents.astype(np.int32) - 128).astype(np.float32)


def expand_mxfp4(blocks: Bytes) -> Int8Groups:
    """2 ** (e - 127) * e2m1[q]; nibbles as in Q4_0. Source: OCP Microscaling Formats 1.0, section 5.4."""
    exponent, quants = cut(blocks, 1, 16)
    return Int8Groups(E2M1_DOUBLED[spread(quants, 16, 4)], e8m0_halved(exponent), None)


def _ue4m3_halved(scales: Bytes) -> Floats:
    """Unsigned E4M3 (bias 7, 0x7F reads as 0), halved as in `e8m0_halved`."""
    exponent = (scales >> np.uint8(3)).astype(np.int32) & 15
    mantissa = (scales & np.uint8(7)).astype(np.float32)
    normal = np.ldexp(mantissa + np.float32(8), exponent - 11)
    values = np.where(exponent == 0, np.ldexp(mantissa, -10), normal)
    return np.where(scales == 0x7F, 0, values).astype(np.float32)


def expand_nvfp4(blocks: Bytes) -> Int8Groups:
    """Four groups of 16: a UE4M3 scale each, then 8 bytes each with weight j low and weight j + 8 high."""
    scales, quants = cut(blocks, 4, 32)
    return Int8Groups(E2M1_DOUBLED[spread(quants, 8, 4)], _ue4m3_halved(scales), None)
