"""SwiGLU's elementwise part: the fast call and its torch reference."""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet import _kernels
from moonlet.kernels.runtime import Runtime


def silu_mul_reference(gate_up: Tensor) -> Tensor:
    """silu(gate) * up, where gate is the first half of the last dimension and up the second.

    gate_up: [T, 2F].  Returns [T, F] float32.  Source: Shazeer, arXiv 2002.05202.
    """
    gate, up = gate_up.float().chunk(2, dim=-1)
    return torch.nn.functional.silu(gate) * up


def silu_mul(rt: Runtime, gate_up: Tensor) -> Tensor:
    """`silu_mul_reference` on the kernels.  gate_up: [T, 2F] float32.  Returns [T, F] float32."""
    out = gate_up.new_empty(gate_up.shape[0], gate_up.shape[1] // 2)
    _kernels.silu_mul(rt.native, gate_up, out)
    return out
