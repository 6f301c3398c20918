"""INT4 in groups of 32, as compressed-tensors `pack-quantized` stores it.

A row of K weights is K/8 int32 words: word j holds weights 8j to 8j+7, the first in the lowest four bits, each as
code + 8, and K/32 BF16 scales. A weight is code * scale with code from -8 to 7. Training used -7 to 7 only, so that
the largest magnitude of a group is code 7 (or -7) exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet.errors import ShapeError

GROUP_SIZE = 32
CODES_PER_WORD = 8
ZERO = 8
"""What is added to a code before it is stored in four bits."""
MAX_CODE = 7


def pack(codes: Tensor) -> Tensor:
    """Pack codes into words.

    codes: [..., K] int8 from -8 to 7, K a multiple of 8.  Returns [..., K/8] int32.
    Raises ShapeError for another dtype or an incomplete word.
    """
    if codes.dtype != torch.int8 or codes.shape[-1] % CODES_PER_WORD:
        raise ShapeError(f"codes: {codes.dtype} {list(codes.shape)}, expected int8 rows of a multiple of 8 values")
    nibbles = (codes.to(torch.int32) + ZERO) & 0xF
    words = nibbles.view(*nibbles.shape[:-1], nibbles.shape[-1] // CODES_PER_WORD, CODES_PER_WORD)
    # The eight nibbles share no bits, so addition is "or"; the top one wraps into the sign as it should.
    return (words << _shifts(codes.device)).sum(-1, dtype=torch.int32)


def unpack(packed: Tensor) -> Tensor:
    """Undo `pack`.

    packed: [..., K/8] int32.  Returns codes [..., K] int8 from -8 to 7. Raises ShapeError for another dtype.
    """
    if packed.dtype != torch.int32 or packed.dim() == 0:
        raise ShapeError(f"packed: {packed.dtype} {list(packed.shape)}, expected int32 rows of words")
    nibbles = (packed.unsqueeze(-1) >> _shifts(packed.device)) & 0xF
    return (nibbles - ZERO).to(torch.int8).flatten(-2)


def dequantize(packed: Tensor, scales: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The weights that codes and scales stand for.

    packed: [..., K/8] int32.  scales: [..., K/32] BF16.  Returns [..., K] `dtype`: in float32 the product is exact
    (a 4-bit code times an 8-bit significand); in bfloat16 it is that product rounded once.
    Raises ShapeError if the two do not describe the same rows.
    """
    if scales.shape[:-1] != packed.shape[:-1] or scales.shape[-1] * (GROUP_SIZE // CODES_PER_WORD) != packed.shape[-1]:
        raise ShapeError(
            f"scales: shape {list(scales.shape)}, expected one a group of 4 words of packed {list(packed.shape)}"
        )
    codes = unpack(packed)
    groups = codes.view(*scales.shape, GROUP_SIZE).to(torch.float32)
    return (groups * scales.to(torch.float32).unsqueeze(-1)).view(codes.shape).to(dtype)


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round weights to the format with the -7..7 rule of the published training.

    weight: [..., K] floating, K a multiple of 32.  Returns packed [..., K/8] int32 and scales [..., K/32] BF16.
    The code is chosen against the scale as stored, so an already quantised weight comes back unchanged.
    Raises ShapeError if a row is not whole groups.
    """
    if weight.dim() == 0 or weight.shape[-1] % GROUP_SIZE:
        raise ShapeError(f"weight: shape {list(weight.shape)}, expected rows of a multiple of {GROUP_SIZE} values")
    groups = weight.to(torch.float32).reshape(*weight.shape[:-1], weight.shape[-1] // GROUP_SIZE, GROUP_SIZE)
    scales = (groups.abs().amax(-1) / MAX_CODE).to(torch.bfloat16)
    divisor = scales.to(torch.float32).unsqueeze(-1)
    codes = torch.where(divisor > 0, groups / divisor, torch.zeros_like(groups)).round().clamp(-MAX_CODE, MAX_CODE)
    return pack(codes.to(torch.int8).flatten(-2)), scales


def _shifts(device: torch.device) -> Tensor:
    return torch.arange(0, 4 * CODES_PER_WORD, 4, dtype=torch.int32, device=device)
