"""float32 to codebook types: IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S.

For every group a few scales are tried, each judged with a quick choice of entries; the super-block's half is chosen
so that the largest scale is the largest integer; the entries are then searched exactly under the scales as stored.
All weights count the same here: an importance matrix would enter as weights of the squared errors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from moonlet.formats.gguf.bits import Bytes, Floats, gather, half_bytes
from moonlet.formats.gguf.codebooks import (
    IQ1_GRID,
    IQ2_S_GRID,
    IQ2_XS_GRID,
    IQ2_XXS_GRID,
    IQ3_S_GRID,
    IQ3_XXS_GRID,
)
from moonlet.formats.gguf.entries import Codebook
from moonlet.formats.gguf.quantize_k import inverse, stored_half

_IQ2_XXS, _IQ2_XS, _IQ2_S = Codebook(IQ2_XXS_GRID), Codebook(IQ2_XS_GRID), Codebook(IQ2_S_GRID)
_IQ3_XXS, _IQ3_S, _IQ1 = Codebook(IQ3_XXS_GRID), Codebook(IQ3_S_GRID), Codebook(IQ1_GRID)
_EIGHTH = np.float32(0.125)
_FRACTIONS = np.linspace(0.5, 1.15, 14, dtype=np.float32)
"""Of the scale under which the largest magnitude of a group is the largest level of the codebook."""


def _signs(x: Floats, even: bool) -> tuple[Floats, Bytes]:
    """Magnitudes to code, and the sign byte of each 8 weights. x: [n, 8].

    even: only an even number of negative weights can be stored; where it is odd, the weight nearest to zero gets the
    wrong sign, which its magnitude shows as a negative number.
    """
    negative = x < 0
    magnitudes = np.abs(x)
    if even:
        odd = negative.sum(axis=1) & 1
        at = magnitudes.argmin(axis=1)[:, None]
        flip = np.zeros_like(negative)
        np.put_along_axis(flip, at, odd[:, None].astype(bool), axis=1)
        negative ^= flip
        magnitudes = np.where(flip, -magnitudes, magnitudes)
    return magnitudes, np.packbits(negative, axis=1, bitorder="little")


def _scale(x: Floats, group: int, book: Codebook) -> Floats:
    """The scale of least squared error for each group, [n]. x: [n * group / width, width], magnitudes."""
    grouped = x.reshape(-1, group)
    top = np.abs(grouped).max(axis=1) / np.float32(book.top)
    best, best_error = np.zeros_like(top), np.full_like(top, np.inf)
    for fraction in _FRACTIONS:
        per_row = np.repeat(inverse(top * fraction), group // book.width)
        q = book.values(book.quick(x * per_row[:, None])).reshape(-1, group)
        products, squares = (grouped * q).sum(axis=1), (q * q).sum(axis=1)
        scale = products * inverse(squares)
        error = -scale * products
        better = (error < best_error) & (scale > 0)
        best, best_error = np.where(better, scale, best), np.where(better, error, best_error)
    return np.asarray(best, dtype=np.float32)


_Steps = Callable[[NDArray[np.uint8]], Floats]


def _fit(
    blocks: Floats, group: int, book: Codebook, even: bool, top_scale: int, steps: _Steps
) -> tuple[NDArray[np.uint16], Bytes, Bytes, Floats]:
    """Entries [n, 256 / width], sign bytes [n, 32], integer scales [n, 256 / group] and the half d.

    steps: integer scales to the multiple of d that they mean, rising.
    """
    n = blocks.shape[0]
    magnitudes, signs = _signs(blocks.reshape(-1, 8), even)
    rows = magnitudes.reshape(-1, book.width)
    wanted = _scale(rows, group, book).reshape(n, -1)
    multiples = steps(np.arange(top_scale + 1, dtype=np.uint8))
    d = stored_half(wanted.max(axis=1) / multiples[-1])
    middles = (multiples[1:] + multiples[:-1]) * np.float32(0.5)
    scales = np.searchsorted(middles, wanted * inverse(d)).astype(np.uint8)
    per_row = np.repeat(inverse(d * steps(scales)).reshape(-1), group // book.width)
    entries = book.nearest(rows * per_row[:, None])
    return entries.reshape(n, -1), signs.reshape(n, -1), scales, d


def _quarters(scales: NDArray[np.uint8]) -> Floats:
    return (scales.astype(np.float32) + np.float32(0.5)) * np.float32(0.25)


def _halves(scales: NDArray[np.uint8]) -> Floats:
    return (scales.astype(np.float32) + np.float32(0.5)) * np.float32(0.5)


def _odds(scales: NDArray[np.uint8]) -> Floats:
    return scales.astype(np.float32) * np.float32(2) + np.float32(1)


def _low(entries: NDArray[np.uint16]) -> Bytes:
    return (entries & np.uint16(255)).astype(np.uint8)


def _high(entries: NDArray[np.uint16]) -> Bytes:
    return (entries >> np.uint16(8)).astype(np.uint8)


def _tails(signs: Bytes, scales: Bytes) -> Bytes:
    """Words of four 7-bit sign numbers and a 4-bit scale: [n, 8] words as [n, 32] bytes."""
    sevens = (signs & np.uint8(127)).reshape(signs.shape[0], -1, 4).astype(np.uint32)
    packed = np.bitwise_or.reduce(sevens << np.array([0, 7, 14, 21], dtype=np.uint32), axis=2)
    tails: NDArray[np.uint32] = packed | (scales.astype(np.uint32) << np.uint32(28))
    return tails.astype("<u4").view(np.uint8)


def quantize_iq2_xxs(blocks: Floats) -> Bytes:
    """Groups of 32, 256 entries of 8, signs of even parity."""
    n = blocks.shape[0]
    entries, signs, scales, d = _fit(blocks, 32, _IQ2_XXS, True, 15, _quarters)
    pairs = np.concatenate([_low(entries).reshape(n, 8, 4), _tails(signs, scales).reshape(n, 8, 4)], axis=2)
    return np.concatenate([half_bytes(d), pairs.reshape(n, -1)], axis=1)


def quantize_iq2_xs(blocks: Floats) -> Bytes:
    """Groups of 16, 512 entries of 8, signs of even parity."""
    entries, signs, scales, d = _fit(blocks, 16, _IQ2_XS, True, 15, _quarters)
    packed = entries | ((signs & np.uint8(127)).astype(np.uint16) << np.uint16(9))
    return np.concatenate([half_bytes(d), packed.astype("<u2").view(np.uint8), gather(scales, 1, 4)], axis=1)


def quantize_iq2_s(blocks: Floats) -> Bytes:
    """Groups of 16, 1024 entries of 8, a sign bit a weight."""
    entries, signs, scales, d = _fit(blocks, 16, _IQ2_S, False, 15, _quarters)
    parts = [half_bytes(d), _low(entries), signs, gather(_high(entries), 1, 2), gather(scales, 1, 4)]
    return np.concatenate(parts, axis=1)


def quantize_iq3_xxs(blocks: Floats) -> Bytes:
    """Groups of 32, 256 entries of 4, signs of even parity."""
    entries, signs, scales, d = _fit(blocks, 32, _IQ3_XXS, True, 15, _halves)
    return np.concatenate([half_bytes(d), _low(entries), _tails(signs, scales)], axis=1)


def quantize_iq3_s(blocks: Floats) -> Bytes:
    """Groups of 32, 512 entries of 4, a sign bit a weight."""
    entries, signs, scales, d = _fit(blocks, 32, _IQ3_S, False, 15, _odds)
    parts = [half_bytes(d), _low(entries), gather(_high(entries), 1, 1), signs, gather(scales, 1, 4)]
    return np.concatenate(parts, axis=1)


def _fit_shifted(blocks: Floats, group: int, run: int) -> tuple[NDArray[np.uint16], NDArray[np.bool_], Bytes, Floats]:
    """Entries [n, 32], whether each run's shift is negative [n, 256 / run], 3-bit scales and d, for IQ1.

    A weight is scale * (entry + 1/8) or scale * (entry - 1/8), the same for `run` weights.
    """
    n = blocks.shape[0]
    rows = blocks.reshape(-1, 8)
    grouped = blocks.reshape(-1, group)
    top = np.abs(grouped).max(axis=1)
    best, best_error = np.zeros_like(top), np.full_like(top, np.inf)
    for fraction in np.linspace(0.3, 0.95, 14, dtype=np.float32):
        per_row = np.repeat(inverse(top * fraction), group // 8)[:, None]
        q = _shifted_values(rows * per_row, run, _IQ1.quick)[2].reshape(-1, group)
        products, squares = (grouped * q).sum(axis=1), (q * q).sum(axis=1)
        scale = products * inverse(squares)
        error = -scale * products
        better = (error < best_error) & (scale > 0)
        best, best_error = np.where(better, scale, best), np.where(better, error, best_error)
    wanted = best.astype(np.float32).reshape(n, -1)
    d = stored_half(wanted.max(axis=1) / np.float32(15))
    scales = np.clip(np.rint((wanted * inverse(d) - np.float32(1)) * np.float32(0.5)), 0, 7).astype(np.uint8)
    per_row = np.repeat(inverse(d * _odds(scales)).reshape(-1), group // 8)[:, None]
    entries, negative, _ = _shifted_values(rows * per_row, run, _IQ1.nearest)
    return entries.reshape(n, -1), negative.reshape(n, -1), scales, d


def _shifted_values(
    x: Floats, run: int, choose: Callable[[Floats], NDArray[np.uint16]]
) -> tuple[NDArray[np.uint16], NDArray[np.bool_], Floats]:
    """Best entries and shifts for x in units of the scale, and the values they stand for. x: [n, 8]."""
    rows = run // 8
    up, down = choose(x - _EIGHTH), choose(x + _EIGHTH)
    up_values, down_values = _IQ1.values(up) + _EIGHTH, _IQ1.values(down) - _EIGHTH
    up_error = np.square(up_values - x).reshape(-1, run).sum(axis=1)
    down_error = np.square(down_values - x).reshape(-1, run).sum(axis=1)
    negative = down_error < up_error
    per_row = np.repeat(negative, rows)
    return np.where(per_row, down, up), negative, np.where(per_row[:, None], down_values, up_values)


def quantize_iq1_s(blocks: Floats) -> Bytes:
    """Groups of 32 that share scale and shift, 2048 entries of 8."""
    entries, negative, scales, d = _fit_shifted(blocks, 32, 32)
    top = (entries >> np.uint16(8)).reshape(-1, 8, 4) << np.array([0, 3, 6, 9], dtype=np.uint16)
    tail = np.bitwise_or.reduce(top, axis=2) | (scales.astype(np.uint16) << np.uint16(12))
    tail = tail | (negative.astype(np.uint16) << np.uint16(15))
    return np.concatenate([half_bytes(d), _low(entries), tail.astype("<u2").view(np.uint8)], axis=1)


def quantize_iq1_m(blocks: Floats) -> Bytes:
    """Groups of 16 that share a scale, a shift for each 8, 2048 entries of 8; the half is cut into nibbles."""
    entries, negative, scales, d = _fit_shifted(blocks, 16, 8)
    nibbles = _high(entries) | (negative.astype(np.uint8) << np.uint8(3))
    small = scales.reshape(-1, 4, 4).astype(np.uint16) << np.array([0, 3, 6, 9], dtype=np.uint16)
    bits = half_bytes(d).view("<u2").astype(np.uint16)
    pieces = ((bits >> np.array([0, 4, 8, 12], dtype=np.uint16)) & np.uint16(15)) << np.uint16(12)
    tail = (np.bitwise_or.reduce(small, axis=2) | pieces).astype("<u2").view(np.uint8)
    return np.concatenate([_low(entries), gather(nibbles, 1, 4), tail], axis=1)
