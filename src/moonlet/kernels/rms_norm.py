"""RMSNorm: the fast call and its torch reference."""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet import _kernels
from moonlet.kernels.runtime import Runtime


def rms_norm_reference(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension, computed and returned in float32.

    x: [..., D] any float type.  weight: [D].  Source: Zhang and Sennrich, arXiv 1910.07467.
    """
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight.float()


def rms_norm(rt: Runtime, x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """`rms_norm_reference` on the kernels.  x: [T, D] float32.  weight: [D] bfloat16.  Returns [T, D] float32."""
    out = torch.empty_like(x)
    _kernels.rms_norm(rt.native, x, weight, eps, out)
    return out
