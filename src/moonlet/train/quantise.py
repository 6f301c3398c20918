"""INT4 group-32 weights as training sees them: what the export will store, with a straight-through gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from moonlet.formats.int4g32 import GROUP_SIZE, MAX_CODE

SMALLEST_DIVISOR = 1e-30  # a group that is all zero has scale 0 and codes 0


def int4_groups(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes and scales of a weight, symmetric per group of 32 consecutive inputs.

    weight: [..., in_features] float32, in_features a multiple of 32.
    Returns codes [..., in_features] float32 of whole numbers in -7..7, and scales [..., in_features / 32] bfloat16.
    The codes are chosen for the *rounded* scale, since that is the one the reader multiplies by. The same rule as
    `moonlet.formats.int4g32.quantize`, without the packing, which every training step would pay for.
    """
    groups = weight.view(*weight.shape[:-1], -1, GROUP_SIZE)
    scales = (groups.abs().amax(dim=-1) / MAX_CODE).to(torch.bfloat16)
    divisors = scales.float().clamp_min(SMALLEST_DIVISOR).unsqueeze(-1)
    codes = (groups / divisors).round_().clamp_(-MAX_CODE, MAX_CODE)
    return codes.flatten(-2), scales


def dequantised(codes: Tensor, scales: Tensor) -> Tensor:
    """The float32 weight that codes and scales stand for."""
    groups = codes.view(*codes.shape[:-1], -1, GROUP_SIZE)
    return (groups * scales.float().unsqueeze(-1)).flatten(-2)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, weight: Tensor) -> Tensor:
        return dequantised(*int4_groups(weight))

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def fake_quantised(weight: Tensor) -> Tensor:
    """The weight after INT4, in float32; the gradient passes through as if nothing had been rounded."""
    result: Tensor = _StraightThrough.apply(weight)  # type: ignore[no-untyped-call]
    return result
