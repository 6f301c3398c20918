"""Linear layers whose weights stay floating point: the fast calls and the torch reference of every linear layer."""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet import _kernels
from moonlet.kernels.blocks import dequantize_blocks
from moonlet.kernels.linear_int8 import dequantize_int8
from moonlet.kernels.runtime import Runtime
from moonlet.kernels.weights import BlockWeight, F32Weight, Int8Weight, LinearWeight


def widen(weight: LinearWeight) -> Tensor:
    """The weight as [N, K] float32; exact for every storage."""
    match weight:
        case Int8Weight():
            return dequantize_int8(weight.codes, weight.scales)
        case BlockWeight():
            return dequantize_blocks(weight.blocks, weight.block_format)
        case _:
            return weight.weight.float()


def linear_reference(x: Tensor, weight: LinearWeight, dtype: torch.dtype = torch.float32) -> Tensor:
    """x @ weight^T with the product taken in `dtype`, except that a float32 weight always multiplies in float32.

    x: [T, K].  Returns [T, N] float32.
    """
    if isinstance(weight, F32Weight):
        dtype = torch.float32
    return torch.nn.functional.linear(x.to(dtype), widen(weight).to(dtype)).float()


def linear_bf16(rt: Runtime, x: Tensor, weight: Tensor) -> Tensor:
    """x @ weight^T in float32.  x: [T, K] float32.  weight: [N, K] bfloat16.  Returns [T, N] float32."""
    out = x.new_empty(x.shape[0], weight.shape[0])
    _kernels.linear_bf16(rt.native, x, weight, out)
    return out


def linear_f32(rt: Runtime, x: Tensor, weight: Tensor) -> Tensor:
    """x @ weight^T in float32.  x: [T, K] float32.  weight: [N, K] float32.  Returns [T, N] float32."""
    out = x.new_empty(x.shape[0], weight.shape[0])
    _kernels.linear_f32(rt.native, x, weight, out)
    return out
