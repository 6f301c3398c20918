"""The storage a linear layer's weight can have, as one closed set of types."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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


@dataclass(frozen=True, slots=True)
class BlockWeight:
    """As a GGUF file stores it: blocks [N, row bytes] uint8, whole blocks of the format so named ("Q8_0")."""

    blocks: Tensor
    block_format: str


LinearWeight = Bf16Weight | F32Weight | Int8Weight | BlockWeight
