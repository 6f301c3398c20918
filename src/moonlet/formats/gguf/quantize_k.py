"""float32 to super-blocks of 256 with integer scales: Q2_K to Q6_K, IQ4_XS, TQ1_0, TQ2_0.

Each group gets the scale (and minimum) of least squared error, the super-block's half is chosen so that the largest
of them is the largest integer, and the codes are rounded again under the scales as stored.
"""

from __future__ import annotations

import numpy as np

from moonlet.formats.gguf.bits import Bytes, Codes, Floats, gather, half, half_bytes
from moonlet.formats.gguf.codebooks import IQ4_VALUES
from moonlet.formats.gguf.search import best_ramp, best_scale, integers, nearest_level, scale_for_levels


def inverse(step: Floats) -> Floats:
    """1 / step, and 0 for 0."""
    safe = np.where(step == 0, np.float32(1), step)
    return np.where(step == 0, np.float32(0), np.float32(1) / safe).astype(np.float32)


def stored_half(values: Floats) -> Floats:
    """What a half keeps of `values`, [n, 1]."""
    return half(half_bytes(values.reshape(-1, 1)))


def _ramps(blocks: Floats, group: int, top: int, top_scale: int) -> tuple[Bytes, Bytes, Bytes, Floats, Floats]:
    """Codes, integer scales, integer minimums and the two halves of x = (d s) q - (dmin m)."""
    n = blocks.shape[0]
    grouped = blocks.reshape(-1, group)
    step, minimum = best_ramp(grouped, top)
    steps, minimums = step.reshape(n, -1), minimum.reshape(n, -1)
    d = stored_half(steps.max(axis=1) / np.float32(top_scale))
    dmin = stored_half(minimums.max(axis=1) / np.float32(top_scale))
    scales = np.clip(np.rint(steps * inverse(d)), 0, top_scale).astype(np.uint8)
    floors = np.clip(np.rint(minimums * inverse(dmin)), 0, top_scale).astype(np.uint8)
    scale = (d * scales.astype(np.float32)).reshape(-1, 1)
    floor = (dmin * floors.astype(np.float32)).reshape(-1, 1)
    codes = np.clip(np.rint((grouped + floor) * inverse(scale)), 0, top).astype(np.uint8)
    return codes.reshape(n, -1), scales, floors, d, dmin


def _signed_scales(scale: Floats, n: int, lowest: int) -> tuple[Codes, Floats]:
    """Integer scales from `lowest` to -lowest - 1 and the half under them; the farthest scale becomes `lowest`."""
    scales = scale.reshape(n, -1)
    farthest = np.take_along_axis(scales, np.abs(scales).argmax(axis=1)[:, None], axis=1)
    d = stored_half(farthest / np.float32(lowest))
    return np.clip(np.rint(scales * inverse(d)), lowest, -lowest - 1).astype(np.int8), d


def quantize_q2_k(blocks: Floats) -> Bytes:
    """Groups of 16, codes 0 to 3, scales and minimums 0 to 15."""
    codes, scales, floors, d, dmin = _ramps(blocks, 16, 3, 15)
    packed = scales | (floors << np.uint8(4))
    return np.concatenate([packed, gather(codes, 32, 2), half_bytes(d), half_bytes(dmin)], axis=1)


def _pack_q4_k_scales(scales: Bytes, floors: Bytes) -> Bytes:
    """Eight 6-bit scales and minimums into 12 bytes; the layout is told in `k_quants.q4_k_scales`."""
    six, four, fifteen = np.uint8(6), np.uint8(4), np.uint8(15)
    first = scales[:, :4] | (scales[:, 4:] >> four << six)
    second = floors[:, :4] | (floors[:, 4:] >> four << six)
    third = (scales[:, 4:] & fifteen) | (floors[:, 4:] << four)
    return np.concatenate([first, second, third], axis=1)


def quantize_q4_k(blocks: Floats) -> Bytes:
    """Groups of 32, codes 0 to 15, scales and minimums 0 to 63."""
    codes, scales, floors, d, dmin = _ramps(blocks, 32, 15, 63)
    parts = [half_bytes(d), half_bytes(dmin), _pack_q4_k_scales(scales, floors), gather(codes, 32, 4)]
    return np.concatenate(parts, axis=1)


def quantize_q5_k(blocks: Floats) -> Bytes:
    """Groups of 32, codes 0 to 31, scales and minimums 0 to 63."""
    codes, scales, floors, d, dmin = _ramps(blocks, 32, 31, 63)
    high, low = gather(codes >> np.uint8(4), 32, 1), gather(codes & np.uint8(15), 32, 4)
    return np.concatenate([half_bytes(d), half_bytes(dmin), _pack_q4_k_scales(scales, floors), high, low], axis=1)


def _signed_codes(blocks: Floats, scales: Codes, d: Floats, lowest: int) -> Bytes:
    """Codes from `lowest` up under the stored scales, moved to start at 0."""
    n, groups = scales.shape
    step = (d * scales.astype(np.float32)).reshape(n, groups, 1)
    codes = np.clip(np.rint(blocks.reshape(n, groups, -1) * inverse(step)), lowest, -lowest - 1)
    moved: Bytes = (codes - lowest).astype(np.uint8)
    return moved.reshape(n, -1)


def quantize_q3_k(blocks: Floats) -> Bytes:
    """Groups of 16, codes -4 to 3, scales -32 to 31."""
    n = blocks.shape[0]
    scales, d = _signed_scales(best_scale(blocks.reshape(-1, 16), -4, integers(-4, 3)), n, -32)
    codes = _signed_codes(blocks, scales, d, -4)
    stored = (scales + np.int8(32)).astype(np.uint8)
    packed = [gather(stored & np.uint8(15), 8, 4), gather(stored >> np.uint8(4), 4, 2)]
    high, low = gather(codes >> np.uint8(2), 32, 1), gather(codes & np.uint8(3), 32, 2)
    return np.concatenate([high, low, *packed, half_bytes(d)], axis=1)


def quantize_q6_k(blocks: Floats) -> Bytes:
    """Groups of 16, codes -32 to 31, scales -128 to 127."""
    n = blocks.shape[0]
    scales, d = _signed_scales(best_scale(blocks.reshape(-1, 16), -32, integers(-32, 31), spread=0.06), n, -128)
    codes = _signed_codes(blocks, scales, d, -32)
    low, high = gather(codes & np.uint8(15), 64, 4), gather(codes >> np.uint8(4), 32, 2)
    return np.concatenate([low, high, scales.view(np.uint8), half_bytes(d)], axis=1)


def quantize_iq4_xs(blocks: Floats) -> Bytes:
    """Groups of 32, sixteen uneven levels, scales -32 to 31."""
    n = blocks.shape[0]
    levels = IQ4_VALUES.astype(np.float32)
    scales, d = _signed_scales(scale_for_levels(blocks.reshape(-1, 32), levels), n, -32)
    step = (d * scales.astype(np.float32))[:, :, None]
    codes = nearest_level(blocks.reshape(n, 8, 32) * inverse(step), levels).reshape(n, -1)
    stored = (scales + np.int8(32)).astype(np.uint8)
    packed = [gather(stored >> np.uint8(4), 1, 2), gather(stored & np.uint8(15), 1, 4)]
    return np.concatenate([half_bytes(d), *packed, gather(codes, 16, 4)], axis=1)


def _digits(blocks: Floats) -> tuple[Bytes, Floats]:
    """Ternary digits 0 to 2 and the block's scale. One scale must serve 256 weights, so the search is wide."""
    d = np.abs(stored_half(best_scale(blocks, 2.0, integers(-1, 1), spread=0.6, steps=15)))
    return (np.clip(np.rint(blocks * inverse(d)), -1, 1) + 1).astype(np.uint8), d


def _pack_trits(digits: Bytes, count: int, width: int) -> Bytes:
    """`count` runs of `width` digits into `width` bytes each; see `k_quants._trits` for the number a byte holds."""
    powers = np.array([3 ** (4 - i) for i in range(count)], dtype=np.uint16)[:, None]
    value = (digits.reshape(digits.shape[0], -1, count, width).astype(np.uint16) * powers).sum(axis=2, dtype=np.uint16)
    packed: Bytes = ((value * np.uint16(256) + np.uint16(242)) // np.uint16(243)).astype(np.uint8)
    return packed.reshape(digits.shape[0], -1)


def quantize_tq1_0(blocks: Floats) -> Bytes:
    """Ternary, five digits a byte."""
    digits, d = _digits(blocks)
    parts = [_pack_trits(digits[:, :160], 5, 32), _pack_trits(digits[:, 160:240], 5, 16)]
    return np.concatenate([*parts, _pack_trits(digits[:, 240:], 4, 4), half_bytes(d)], axis=1)


def quantize_tq2_0(blocks: Floats) -> Bytes:
    """Ternary, two bits a weight."""
    digits, d = _digits(blocks)
    return np.concatenate([gather(digits, 32, 2), half_bytes(d)], axis=1)
