"""Int8 groups: integers with one scale per 32 inputs, as the quantised products take activations and weights.

The arithmetic and its order are in csrc/int8_groups/int8_groups.h.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet import _kernels
from moonlet.kernels.runtime import Runtime

GROUP_SIZE = 32


def quantize_int8_groups(rt: Runtime, x: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise activations per token and group of 32, as `linear_int8` and `experts_forward` do inside.

    x: [T, K] float32, K a multiple of 32.
    Returns codes [T, K] int8 and scales [T, K/32] float32 with x ~ codes * scales: scale = amax / 127 and
    code = rint(x * (127 / amax)). A group whose amax is below 2^-100 is zero; one that holds inf or NaN has codes 0
    and the scale inf or NaN, so that results show it.
    Raises ShapeError.
    """
    num_tokens, num_inputs = x.shape
    codes = torch.empty((num_tokens, num_inputs), dtype=torch.int8)
    scales = torch.empty((num_tokens, num_inputs // GROUP_SIZE), dtype=torch.float32)
    _kernels.quantize_int8_groups(rt.native, x, codes, scales)
    return codes, scales


def reference_quantize_int8_groups(x: Tensor) -> tuple[Tensor, Tensor]:
    """`quantize_int8_groups` in torch, for finite x."""
    groups = x.reshape(x.shape[0], -1, GROUP_SIZE)
    amax = groups.abs().amax(-1, keepdim=True)
    tiny = amax < 2.0**-100
    inverse = torch.where(tiny, 0.0, 127.0 / amax)
    codes = (groups * inverse).round().to(torch.int8).flatten(-2)
    return codes, torch.where(tiny, 0.0, amax / 127.0).squeeze(-1)
