"""Multi-head latent attention on the kernels, absorbed form; torch references in mla_reference.py."""

from __future__ import annotations

from torch import Tensor

from moonlet import _kernels
from moonlet.kernels.runtime import Runtime


def mla_prepare(
    rt: Runtime,
    q: Tensor,
    compressed: Tensor,
    norm: Tensor,
    eps: float,
    cos: Tensor,
    sin: Tensor,
    pages: Tensor,
    slots: Tensor,
) -> tuple[Tensor, Tensor]:
    """Split and rotate the queries of new tokens; norm their latents, rotate their keys and store both.

    Stored as float16, rounded to nearest, ties to even; a value beyond 65504 becomes 65504, NaN stays NaN.

    q: [T, H, nope + R] float32.  compressed: [T, kv_lora_rank + R] float32, latent and key.  norm: [kv_lora_rank]
    bfloat16.  cos, sin: [T, R / 2] float32.  pages: [P, 64, kv_lora_rank + R] float16, changed in place.
    slots: [T] int64, page * 64 + offset.
    Returns q_nope [T, H, nope] and q_rope [T, H, R].  Raises ShapeError for a slot outside the pages.
    """
    num_tokens, num_heads, head_size = q.shape
    rope = 2 * cos.shape[1]
    q_nope = q.new_empty(num_tokens, num_heads, head_size - rope)
    q_rope = q.new_empty(num_tokens, num_heads, rope)
    _kernels.mla_prepare(rt.native, q, compressed, norm, eps, cos, sin, pages, slots, q_nope, q_rope)
    return q_nope, q_rope


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
