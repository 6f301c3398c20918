"""Rotary position embedding on interleaved pairs in plain torch; the kernel `mla_prepare` does the same."""

from __future__ import annotations

import torch
from torch import Tensor


def rope_reference(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (x[2i], x[2i+1]) by its token's i-th angle; pairs stay where they are.

    The published code moves even channels before odd ones first. Queries and keys move alike, so their products, the
    only use, are the same, and the stored keys keep the order of the weights.

    x: [T, H, R].  cos, sin: [T, R/2] float32.  Returns [T, H, R] float32.
    """
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)
