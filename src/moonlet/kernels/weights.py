"""The storage a linear layer's weight can have, as one closed set of types."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

INT8_GROUP_SIZE = 32
"""Input channels that share one scale in an INT8 weight."""

INT8_ZERO = 128
"""Stored code of the value 0: codes are unsigned, value = code - 128."""


@dataclass(frozen=True, slots=True)
class Bf16Weight:
    """weight: [N, K] bfloat16, as published."""

    weight: Tensor


@dataclass(frozen=True, slots=True)
class F32Weight:
    """weight: [N, K] float32. Products with it are never narrowed: routers choose by small differences."""

    weight: Tensor


@dataclass(frozen=True, slots=True)
class Int8Weight:
    """A weight rounded at load: codes [N, K] uint8 (value + 128), scales [N, K/32] bfloat16."""

    codes: Tensor
    scales: Tensor


LinearWeight = Bf16Weight | F32Weight | Int8Weight


def num_bytes(weight: LinearWeight) -> int:
    """Bytes that one product with a single token has to read."""
    if isinstance(weight, Int8Weight):
        return weight.codes.nbytes + weight.scales.nbytes
    return weight.weight.nbytes
