"""The number formats this program knows, and what a tensor in each of them weighs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from moonlet.errors import ShapeError


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """A format stores `block_weights` consecutive values of a row in `block_bytes` bytes, scales included."""

    name: str
    block_weights: int
    block_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Bits a weight costs, scales included."""
        return 8.0 * self.block_bytes / self.block_weights

    def num_bytes(self, shape: Sequence[int]) -> int:
        """Bytes of a tensor of `shape` (in weights). Raises ShapeError if a row is not whole blocks."""
        if not shape or shape[-1] % self.block_weights:
            raise ShapeError(
                f"{self.name}: shape {list(shape)}, expected rows of whole {self.block_weights}-value blocks"
            )
        return math.prod(shape) // self.block_weights * self.block_bytes


F32 = NumberFormat("F32", 1, 4)
BF16 = NumberFormat("BF16", 1, 2)
INT4_G32 = NumberFormat("INT4 g32", 32, 32 // 2 + 2)
"""compressed-tensors pack-quantized: 4-bit codes, one BF16 scale a group of 32."""
INT8_G32 = NumberFormat("INT8 g32", 32, 32 + 2)
"""8-bit codes made while loading, one BF16 scale a group of 32."""

FORMATS = (F32, BF16, INT4_G32, INT8_G32)
