"""RMSNorm: the fast call and its torch reference."""

from __future__ import annotations

import torch
from torch import Tensor


def rms_norm_reference(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension, computed and returned in float32.

    x: [..., D] any float type.  weight: [D].  Source: Zhang and Sennrich, arXiv 1910.07467.
    """
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight.float()
