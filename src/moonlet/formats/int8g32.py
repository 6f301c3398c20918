"""INT8 in groups of 32, made while loading from BF16 weights: about half the bytes for the same linear layer.

A weight is (code - 128) * scale with code from 1 to 255 and one BF16 scale a group. No file holds this format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from moonlet.errors import ShapeError

GROUP_SIZE = 32
ZERO = 128
MAX_CODE = 127


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round weights to the format.

    weight: [..., K] floating, K a multiple of 32.
    Returns codes [..., K] uint8 (value + 128) and scales [..., K/32] BF16.
    The code is chosen against the scale as stored. Raises ShapeError if a row is not whole groups.
    """
    if weight.dim() == 0 or weight.shape[-1] % GROUP_SIZE:
        raise ShapeError(f"weight: shape {list(weight.shape)}, expected rows of a multiple of {GROUP_SIZE} values")
    groups = weight.to(torch.float32).reshape(*weight.shape[:-1], weight.shape[-1] // GROUP_SIZE, GROUP_SIZE)
    scales = (groups.abs().amax(-1) / MAX_CODE).to(torch.bfloat16)
    divisor = scales.to(torch.float32).unsqueeze(-1)
    values = torch.where(divisor > 0, groups / divisor, torch.zeros_like(groups)).round().clamp(-MAX_CODE, MAX_CODE)
    return (values + ZERO).to(torch.uint8).flatten(-2), scales


def dequantize(codes: Tensor, scales: Tensor) -> Tensor:
    """Undo `quantize`, exactly.  codes: [..., K] uint8.  scales: [..., K/32] BF16.  Returns [..., K] float32."""
    if scales.shape[:-1] != codes.shape[:-1] or scales.shape[-1] * GROUP_SIZE != codes.shape[-1]:
        raise ShapeError(f"scales: shape {list(scales.shape)}, expected one a group of 32 of codes {list(codes.shape)}")
    groups = codes.reshape(*scales.shape, GROUP_SIZE).to(torch.float32) - ZERO
    return (groups * scales.to(torch.float32).unsqueeze(-1)).view(codes.shape)


@dataclass(slots=True)
class RoundingLoss:
    """How much making weights INT8 has changed them so far: sums over all weights given to `add`."""

    squared_error: float = 0.0
    squared_weight: float = 0.0

    def add(self, weight: Tensor, codes: Tensor, scales: Tensor) -> None:
        """weight: [..., K] floating; codes, scales: what `quantize` made of it."""
        exact = weight.to(torch.float32)
        self.squared_error += float((dequantize(codes, scales) - exact).square().sum(dtype=torch.float64))
        self.squared_weight += float(exact.square().sum(dtype=torch.float64))

    @property
    def relative(self) -> float:
        """Root mean square of the change over that of the weights."""
        return math.sqrt(self.squared_error / self.squared_weight) if self.squared_weight else 0.0
