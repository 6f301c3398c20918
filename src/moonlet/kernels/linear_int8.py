"""Linear layers with INT8 group-32 weights, made from bf16 ones at load time."""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet import _kernels
from moonlet.errors import ShapeError
from moonlet.kernels.int8_groups import GROUP_SIZE
from moonlet.kernels.runtime import Runtime

INT8_ZERO = 128


def quantize_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Turn a bf16 weight into INT8 codes with one bf16 scale per row and group of 32 inputs.

    The scale is amax / 127 rounded up to a bfloat16, so that codes always fit -127..127. The result takes 8.5 bits a
    weight.

    weight: [N, K] bfloat16 or float32, K a multiple of 32.
    Returns codes [N, K] uint8, value + 128, and scales [N, K/32] bfloat16: weight ~ (codes - 128) * scales.
    Raises ShapeError if weight is not a matrix or K is not a multiple of 32.
    """
    if weight.ndim != 2 or weight.shape[1] % GROUP_SIZE != 0:
        raise ShapeError(f"quantize_int8: weight: shape {list(weight.shape)}, expected [N, K] with K a multiple of 32")
    num_outputs, num_inputs = weight.shape
    codes = torch.empty((num_outputs, num_inputs), dtype=torch.uint8)
    scales = torch.empty((num_outputs, num_inputs // GROUP_SIZE), dtype=torch.bfloat16)
    # In slices, so that the float32 copies stay small beside the weight.
    rows_at_once = max(1, (1 << 22) // num_inputs)
    for row in range(0, num_outputs, rows_at_once):
        part = slice(row, row + rows_at_once)
        groups = weight[part].float().reshape(-1, num_inputs // GROUP_SIZE, GROUP_SIZE)
        scale = _round_up_to_bf16(groups.abs().amax(-1) / 127.0)
        divisor = torch.where(scale == 0, torch.ones_like(scale), scale).float().unsqueeze(-1)
        values = (groups / divisor).round().clamp_(-127, 127)
        codes[part] = (values + INT8_ZERO).to(torch.uint8).flatten(1)
        scales[part] = scale
    return codes, scales


def _round_up_to_bf16(x: Tensor) -> Tensor:
    """The smallest bfloat16 not below x, for x >= 0."""
    bits = x.view(torch.int32)
    return ((bits + 0xFFFF) >> 16).to(torch.int16).view(torch.bfloat16)


def linear_int8(rt: Runtime, x: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """x times the transposed weight (codes - 128) * scales, over activations quantised per token and group of 32.

    x: [T, K] float32.  codes: [N, K] uint8.  scales: [N, K/32] bfloat16.  K a multiple of 32.
    Returns [T, N] float32; a token's row has the same bits for any T, number of threads and instruction set.
    Raises ShapeError.
    """
    out = torch.empty((x.shape[0], codes.shape[0]), dtype=torch.float32)
    _kernels.linear_int8(rt.native, x, codes, scales, out)
    return out


def reference_linear_int8(x: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """`linear_int8` with float32 activations as they are: the result without their quantisation."""
    return x @ dequantize_int8(codes, scales).T


def dequantize_int8(codes: Tensor, scales: Tensor) -> Tensor:
    """The float32 weight [N, K] that codes [N, K] uint8 and scales [N, K/32] bfloat16 stand for."""
    values = (codes.float() - INT8_ZERO).reshape(codes.shape[0], -1, GROUP_SIZE)
    return (values * scales.float().unsqueeze(-1)).flatten(1)
