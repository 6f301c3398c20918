"""Attention of a vision tower, every patch over all patches of its item: the fast call and its torch reference."""

from __future__ import annotations

from torch import Tensor

from moonlet import _kernels
from moonlet.kernels.runtime import Runtime


def patch_attention_reference(qkv: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(C)) v of each head, computed and returned in float32 with all scores in memory.

    qkv: [n, 3, H, C] any float type.  Returns [n, H * C].
    """
    q, k, v = qkv.float().permute(1, 2, 0, 3).unbind(0)
    scale: float = q.shape[-1] ** -0.5
    scores = q @ k.transpose(1, 2) * scale
    return (scores.softmax(dim=-1) @ v).transpose(0, 1).flatten(1)


def patch_attention(rt: Runtime, qkv: Tensor) -> Tensor:
    """`patch_attention_reference` on the kernels, without a matrix of scores.

    Probabilities are rounded to bfloat16 before they multiply values; sums are float32. The order of additions is in
    csrc/patch_attention/patch_attention.h.

    qkv: [n, 3, H, C] bfloat16, C even.  Returns [n, H * C] bfloat16.  Raises ShapeError.
    """
    num_patches, _, num_heads, width = qkv.shape
    out = qkv.new_empty(num_patches, num_heads * width)
    _kernels.patch_attention(rt.native, qkv, out)
    return out
