"""Multi-head latent attention on the kernels, absorbed form; torch references in mla_reference.py."""

from __future__ import annotations

from torch import Tensor

from moonlet import _kernels
from moonlet.kernels.runtime import Runtime


def store_latent(rt: Runtime, pages: Tensor, latent: Tensor, k_rope: Tensor, slots: Tensor) -> None:
    """Write each token's latent and rotated key into its slot, rounded to float16.

    To nearest, ties to even; a value beyond 65504 becomes 65504, NaN stays NaN.

    pages: [P, 64, W] float16, changed in place.  latent: [T, kv_lora_rank] float32.  k_rope: [T, R] float32.
    slots: [T] int64, page * 64 + offset.  Raises ShapeError for a slot outside the pages.
    """
    _kernels.store_latent(rt.native, pages, latent, k_rope, slots)


def mla_absorbed(
    rt: Runtime,
    q_nope: Tensor,
    q_rope: Tensor,
    kv_b: Tensor,
    pages: Tensor,
    page_tables: Tensor,
    seq_idx: Tensor,
    context_lens: Tensor,
    softmax_scale: float,
) -> Tensor:
    """Attention of each token over its sequence's first `context_lens` cached tokens, itself included.

    A token's result has the same bits in a decode step and in any prefill chunk.

    q_nope: [T, H, nope], q_rope: [T, H, R] float32.  kv_b: [H * (nope + v), kv_lora_rank] bfloat16.
    pages: [P, 64, kv_lora_rank + R] float16.  page_tables: [B, max_pages] int32; entries past a sequence's last
    visible page are not read.  seq_idx: [T] int32, row of page_tables.  context_lens: [T] int32, at least 1.
    Returns [T, H * v] float32.  Raises ShapeError for a page, sequence or length that does not exist.
    """
    num_tokens, num_heads, qk_nope_head_dim = q_nope.shape
    out = q_nope.new_empty(num_tokens, kv_b.shape[0] - num_heads * qk_nope_head_dim)
    _kernels.mla_absorbed(
        rt.native, q_nope, q_rope, kv_b, pages, page_tables, seq_idx, context_lens, softmax_scale, out
    )
    return out
