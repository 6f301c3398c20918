"""SwiGLU's elementwise part: the fast call and its torch reference."""

from __future__ import annotations

import torch
from torch import Tensor


def silu_mul_reference(gate_up: Tensor) -> Tensor:
    """silu(gate) * up, where gate is the first half of the last dimension and up the second.

    gate_up: [T, 2F].  Returns [T, F] float32.  Source: Shazeer, arXiv 2002.05202.
    """
    gate, up = gate_up.float().chunk(2, dim=-1)
    return torch.nn.functional.silu(gate) * up
