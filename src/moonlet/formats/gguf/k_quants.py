"""Super-blocks of 256 weights with small integer scales under one or two halves: Q2_K to Q6_K, TQ1_0, TQ2_0.

Source of the layouts: ggml-common.h and ggml-quants.c of llama.cpp.
"""

from __future__ import annotations

import numpy as np

from moonlet.formats.gguf.bits import Bytes, cut, half, spread
from moonlet.formats.gguf.groups import Int8Groups


def expand_q2_k(blocks: Bytes) -> Int8Groups:
    """Groups of 16: (d * s) * q - (dmin * m); a byte a group holds s low and m high."""
    scales, quants, d, dmin = cut(blocks, 16, 64, 2, 2)
    steps = half(d) * (scales & np.uint8(15)).astype(np.float32)
    minimums = half(dmin) * (scales >> np.uint8(4)).astype(np.float32)
    return Int8Groups(spread(quants, 32, 2).astype(np.int8), steps, minimums)


def q3_k_scales(packed: Bytes) -> Bytes:
    """[n, 12] bytes to sixteen 6-bit scales: 8 bytes of low nibbles, then 4 bytes of high bit pairs."""
    low, high = cut(packed, 8, 4)
    return spread(low, 8, 4) | (spread(high, 4, 2) << np.uint8(4))


def expand_q3_k(blocks: Bytes) -> Int8Groups:
    """Groups of 16: (d * (s - 32)) * q, q from -4 to 3: two low bits, minus 4 where the high bit is clear."""
    high, low, scales, d = cut(blocks, 32, 64, 12, 2)
    steps = half(d) * (q3_k_scales(scales).astype(np.int8) - np.int8(32)).astype(np.float32)
    codes = spread(low, 32, 2) | (spread(high, 32, 1) << np.uint8(2))
    return Int8Groups(codes.astype(np.int8) - np.int8(4), steps, None)


def q4_k_scales(packed: Bytes) -> tuple[Bytes, Bytes]:
    """[n, 12] bytes to eight 6-bit scales and eight 6-bit minimums.

    Bytes 0-3 hold scales 0-3 and, in their top bits, the top bits of scales 4-7; bytes 4-7 the same for the
    minimums; bytes 8-11 the low nibbles of scales (low) and minimums (high) 4-7.
    """
    scale, minimum, low = cut(packed, 4, 4, 4)
    scales = np.concatenate([scale & 63, (low & 15) | (scale >> 6 << 4)], axis=1)
    minimums = np.concatenate([minimum & 63, (low >> 4) | (minimum >> 6 << 4)], axis=1)
    return scales, minimums


def _with_minimums(codes: Bytes, d: Bytes, dmin: Bytes, scales: Bytes) -> Int8Groups:
    scale, minimum = q4_k_scales(scales)
    return Int8Groups(
        codes.astype(np.int8), half(d) * scale.astype(np.float32), half(dmin) * minimum.astype(np.float32)
    )


def expand_q4_k(blocks: Bytes) -> Int8Groups:
    """Groups of 32: (d * s) * q - (dmin * m)."""
    d, dmin, scales, quants = cut(blocks, 2, 2, 12, 128)
    return _with_minimums(spread(quants, 32, 4), d, dmin, scales)


def expand_q5_k(blocks: Bytes) -> Int8Groups:
    """As Q4_K with a fifth bit: bit g of byte j is the one of weight j of group g."""
    d, dmin, scales, high, low = cut(blocks, 2, 2, 12, 32, 128)
    return _with_minimums(spread(low, 32, 4) | (spread(high, 32, 1) << np.uint8(4)), d, dmin, scales)


def expand_q6_k(blocks: Bytes) -> Int8Groups:
    """Groups of 16: (d * s) * (q - 32), s int8; nibbles in runs of 64, high bit pairs in runs of 32."""
    low, high, scales, d = cut(blocks, 128, 64, 16, 2)
    codes = spread(low, 64, 4) | (spread(high, 32, 2) << np.uint8(4))
    return Int8Groups(codes.astype(np.int8) - np.int8(32), half(d) * scales.view(np.int8).astype(np.float32), None)


def _trits(packed: Bytes, count: int, width: int) -> Bytes:
    """The first `count` base-3 digits of each byte, in runs of `width`.

    A byte is ceil(value * 256 / 243) of a 5-digit number: multiplying by 3 pushes the next digit into bits 8 and 9.
    """
    powers = np.array([3**i for i in range(count)], dtype=np.uint8)[:, None]
    shifted = packed.reshape(packed.shape[0], -1, 1, width) * powers  # modulo 256: drops the digits already read
    digits = (shifted.astype(np.uint16) * np.uint16(3)) >> np.uint16(8)
    return digits.astype(np.uint8).reshape(packed.shape[0], -1)


def _ternary(digits: Bytes, d: Bytes) -> Int8Groups:
    """d * (digit - 1), the block's one scale given to each group of 32."""
    return Int8Groups(digits.astype(np.int8) - np.int8(1), np.repeat(half(d), 8, axis=1), None)


def expand_tq1_0(blocks: Bytes) -> Int8Groups:
    """Ternary: 32 bytes of five digits, 16 bytes of five, 4 bytes of four, a half."""
    first, second, third, d = cut(blocks, 32, 16, 4, 2)
    return _ternary(np.concatenate([_trits(first, 5, 32), _trits(second, 5, 16), _trits(third, 4, 4)], axis=1), d)


def expand_tq2_0(blocks: Bytes) -> Int8Groups:
    """Ternary in two bits a weight."""
    quants, d = cut(blocks, 64, 2)
    return _ternary(spread(quants, 32, 2), d)
