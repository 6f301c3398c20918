"""float32 to blocks of 32: ggml's reference rounding for Q4_0 to Q8_0, nearest level for IQ4_NL and MXFP4.

Source: quantize_row_*_ref of llama.cpp's ggml-quants.c, for the choice of scale and the rounding of ties.
"""

from __future__ import annotations

import numpy as np

from moonlet.formats.gguf.bits import Bytes, Floats, gather, half, half_bytes
from moonlet.formats.gguf.codebooks import E2M1_DOUBLED, IQ4_VALUES
from moonlet.formats.gguf.search import nearest_level, scale_for_levels
from moonlet.formats.gguf.simple import e8m0_halved


def _inverse(step: Floats) -> Floats:
    """1 / step, and 0 for 0: a block of zeros codes as zeros."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(step == 0, np.float32(0), np.float32(1) / step).astype(np.float32)


def _farthest(blocks: Floats) -> Floats:
    """The value of largest magnitude of each block with its sign, [n, 1]."""
    return np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)


def quantize_q4_0(blocks: Floats) -> Bytes:
    """d = farthest / -8, so that one end of -8..7 is met exactly."""
    step = (_farthest(blocks) / np.float32(-8)).astype(np.float32)
    codes = np.minimum(15, (blocks * _inverse(step) + np.float32(8.5)).astype(np.int8)).astype(np.uint8)
    return np.concatenate([half_bytes(step), gather(codes, 16, 4)], axis=1)


def quantize_q5_0(blocks: Floats) -> Bytes:
    """d = farthest / -16."""
    step = (_farthest(blocks) / np.float32(-16)).astype(np.float32)
    codes = np.minimum(31, (blocks * _inverse(step) + np.float32(16.5)).astype(np.int8)).astype(np.uint8)
    return np.concatenate([half_bytes(step), *_five_bits(codes)], axis=1)


def _ramp(blocks: Floats, top: int) -> tuple[Floats, Floats, Bytes]:
    """Step, minimum and codes 0..top over the range of each block."""
    low = blocks.min(axis=1, keepdims=True)
    step = ((blocks.max(axis=1, keepdims=True) - low) / np.float32(top)).astype(np.float32)
    codes = np.minimum(top, ((blocks - low) * _inverse(step) + np.float32(0.5)).astype(np.int8))
    return step, low, codes.astype(np.uint8)


def quantize_q4_1(blocks: Floats) -> Bytes:
    """d and m span the block's range."""
    step, low, codes = _ramp(blocks, 15)
    return np.concatenate([half_bytes(step), half_bytes(low), gather(codes, 16, 4)], axis=1)


def quantize_q5_1(blocks: Floats) -> Bytes:
    """d and m span the block's range."""
    step, low, codes = _ramp(blocks, 31)
    return np.concatenate([half_bytes(step), half_bytes(low), *_five_bits(codes)], axis=1)


def _five_bits(codes: Bytes) -> tuple[Bytes, Bytes]:
    return gather(codes >> np.uint8(4), 1, 1), gather(codes & np.uint8(15), 16, 4)


def quantize_q8_0(blocks: Floats) -> Bytes:
    """d = largest magnitude / 127; ties away from zero, as C's roundf."""
    step = (np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)).astype(np.float32)
    scaled = blocks * _inverse(step)
    codes = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int8)
    return np.concatenate([half_bytes(step), codes.view(np.uint8)], axis=1)


def quantize_iq4_nl(blocks: Floats) -> Bytes:
    """The scale of least squared error among a few, then the nearest of the sixteen levels."""
    levels = IQ4_VALUES.astype(np.float32)
    step = half(half_bytes(scale_for_levels(blocks, levels)))
    codes = nearest_level(blocks * _inverse(step), levels)
    return np.concatenate([half_bytes(step), gather(codes, 16, 4)], axis=1)


def quantize_mxfp4(blocks: Floats) -> Bytes:
    """The power of two that brings the largest magnitude to 4..8 or half of it, whichever errs less."""
    levels = E2M1_DOUBLED.astype(np.float32)
    amax = np.abs(blocks).max(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        exponent = np.where(amax > 0, np.floor(np.log2(amax)) - 2 + 127, 0)
    candidates = []
    for shift in (0, 1):
        stored = np.clip(exponent + shift, 0, 254).astype(np.uint8)
        step = e8m0_halved(stored)
        codes = nearest_level(blocks / step, levels)
        error = np.square(levels[codes] * step - blocks).sum(axis=1, keepdims=True)
        candidates.append((error, np.concatenate([stored, gather(codes, 16, 4)], axis=1)))
    (first_error, first), (second_error, second) = candidates
    return np.where(second_error < first_error, second, first)
