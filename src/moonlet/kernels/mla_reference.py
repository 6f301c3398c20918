"""Multi-head latent attention over latent pages in plain torch, in both of its forms. Float32, any device.

Letters: T tokens, H heads, P pages, W = kv_lora_rank + qk_rope_head_dim, L visible tokens of a sequence.

A page slot holds a token's latent and its rotated key. kv_b (`kv_b_proj.weight`) holds per head the rows W_uk (nope)
and W_uv (v) that widen a latent to the head's key and value.
Expanded: keys and values are widened, then ordinary attention.  Absorbed: W_uk moves to the query and W_uv to the
result, so attention runs on the latents themselves. The two differ only by rounding.
Neither form promises the same bits for another batch or chunking: torch picks its order of additions by shape.
Source: DeepSeek-V2 report, arXiv 2405.04434, section 2.1.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from moonlet.kernels.rms_norm import rms_norm_reference
from moonlet.kernels.rope import rope_reference

PAGE_SIZE = 64
"""Tokens in one latent page."""

_BLOCK_ELEMENTS = 1 << 25
"""Largest temporary (scores, or widened keys and values) in elements: 128 MiB of float32."""


def prepare_reference(
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

    Stored in the pages' own type, to nearest, ties to even; a value too large for the type becomes its largest one.

    q: [T, H, nope + R].  compressed: [T, kv_lora_rank + R], latent and key.  norm: [kv_lora_rank].
    cos, sin: [T, R / 2].  pages: [P, 64, W] float32 or float16, changed in place.  slots: [T], page * 64 + offset.
    Returns q_nope [T, H, nope] and q_rope [T, H, R].
    """
    kv_lora_rank, rope = norm.shape[0], 2 * cos.shape[1]
    latent = rms_norm_reference(compressed[:, :kv_lora_rank], norm, eps)
    k_rope = rope_reference(compressed[:, None, kv_lora_rank:], cos, sin)[:, 0]
    limit = torch.finfo(pages.dtype).max
    rows = torch.cat((latent, k_rope), dim=-1).clamp(-limit, limit)
    pages.view(-1, pages.shape[-1])[slots] = rows.to(pages.dtype)
    return q[..., :-rope], rope_reference(q[..., -rope:], cos, sin)


def attend_absorbed_reference(
    q_nope: Tensor,
    q_rope: Tensor,
    kv_b: Tensor,
    pages: Tensor,
    page_tables: Tensor,
    seq_idx: Tensor,
    context_lens: Tensor,
    softmax_scale: float,
) -> Tensor:
    """Attention on the latents themselves; arguments and result as for `attend_expanded_reference`."""
    w_uk, w_uv = _split_kv_b(kv_b, q_nope)
    kv_lora_rank = kv_b.shape[1]
    query = torch.cat((torch.einsum("thn,hnc->thc", q_nope.float(), w_uk), q_rope.float()), dim=-1)
    out = query.new_empty(q_nope.shape[0], q_nope.shape[1], w_uv.shape[1])
    for rows, cached in _sequences(pages, page_tables, seq_idx, context_lens):
        values = _values(cached[:, :kv_lora_rank])
        for block in _token_blocks(rows, query.shape[1] * cached.shape[0]):
            scores = torch.einsum("thw,lw->thl", query[block], cached) * softmax_scale
            probs = _masked_softmax(scores, context_lens[block, None, None])
            out[block] = torch.einsum("thc,hvc->thv", probs @ values, w_uv)
    return out.flatten(1)


def attend_expanded_reference(
    q_nope: Tensor,
    q_rope: Tensor,
    kv_b: Tensor,
    pages: Tensor,
    page_tables: Tensor,
    seq_idx: Tensor,
    context_lens: Tensor,
    softmax_scale: float,
) -> Tensor:
    """Causal attention with keys and values widened from the latents.

    q_nope: [T, H, qk_nope_head_dim].  q_rope: [T, H, qk_rope_head_dim], rotated.  kv_b: [H * (nope + v), kv_lora_rank].
    pages: [P, 64, W] float32 or float16.  page_tables: [B, max_pages] int32, a sequence's pages in order.
    seq_idx: [T] int32, row of page_tables.  context_lens: [T] int32, tokens visible to each token, itself included.
    Returns [T, H * v_head_dim] float32.  Whatever lies in slots a token may not see has no influence, NaN included.
    """
    w_uk, w_uv = _split_kv_b(kv_b, q_nope)
    num_heads, v_head_dim, kv_lora_rank = w_uv.shape
    # Head-major, so that every product is one batched matrix product without copies.
    query = torch.cat((q_nope, q_rope), dim=-1).float().transpose(0, 1) * softmax_scale
    out = query.new_empty(query.shape[1], num_heads, v_head_dim)
    for rows, cached in _sequences(pages, page_tables, seq_idx, context_lens):
        latents, k_rope = cached[:, :kv_lora_rank], cached[:, kv_lora_rank:]
        num_tokens = cached.shape[0]
        head_step = max(1, _BLOCK_ELEMENTS // (num_tokens * (query.shape[2] + v_head_dim)))
        for head in range(0, num_heads, head_step):
            heads = slice(head, head + head_step)
            k_nope = latents @ w_uk[heads].mT
            keys = torch.cat((k_nope, k_rope.expand(len(k_nope), -1, -1)), dim=-1)
            values = _values(latents) @ w_uv[heads].mT
            for block in _token_blocks(rows, len(keys) * num_tokens):
                scores = query[heads, block] @ keys.mT
                probs = _masked_softmax(scores, context_lens[block, None])
                out[block, heads] = (probs @ values).transpose(0, 1)
    return out.flatten(1)


def expanding_saves_arithmetic(q_nope: Tensor, q_rope: Tensor, kv_b: Tensor, num_sequences: int) -> bool:
    """Whether the expanded form needs fewer multiply-adds than the absorbed one for a batch this large.

    Widening a cached token costs kv_lora_rank * (nope + v) a head, once; each query then saves the difference between
    latent and widened width: for K2.5 it pays from 171 queries a sequence, for a decode step never.
    """
    num_tokens, num_heads, nope = q_nope.shape
    v_head_dim = kv_b.shape[0] // num_heads - nope
    kv_lora_rank = kv_b.shape[1]
    absorbed = 2 * kv_lora_rank + q_rope.shape[2]
    expanded = nope + q_rope.shape[2] + v_head_dim
    widening = kv_lora_rank * (nope + v_head_dim)
    return num_tokens * (absorbed - expanded) > widening * num_sequences


def _split_kv_b(kv_b: Tensor, q_nope: Tensor) -> tuple[Tensor, Tensor]:
    num_heads, qk_nope_head_dim = q_nope.shape[1:]
    per_head = kv_b.float().view(num_heads, -1, kv_b.shape[1])
    return per_head[:, :qk_nope_head_dim], per_head[:, qk_nope_head_dim:]


def _sequences(
    pages: Tensor, page_tables: Tensor, seq_idx: Tensor, context_lens: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each sequence of the batch: its tokens' row numbers, and its cached slots [L, W], as far as any sees."""
    for seq in set(seq_idx.tolist()):
        rows = (seq_idx == seq).nonzero().squeeze(1)
        length = int(context_lens[rows].max())
        table = page_tables[seq, : -(-length // PAGE_SIZE)].long()
        yield rows, pages[table].flatten(0, 1)[:length].float()


def _token_blocks(rows: Tensor, elements_per_token: int) -> tuple[Tensor, ...]:
    return torch.split(rows, max(1, _BLOCK_ELEMENTS // elements_per_token))


def _values(latents: Tensor) -> Tensor:
    """Latents that may be multiplied by a zero probability: 0 * NaN would leak a slot the token may not see.

    A NaN in a visible slot still shows, through its score.
    """
    return latents.nan_to_num(0.0, 0.0, 0.0)


def _masked_softmax(scores: Tensor, visible: Tensor) -> Tensor:
    """Softmax over the last dimension, of which the first `visible` (broadcast) take part. Overwrites scores."""
    hidden = torch.arange(scores.shape[-1], device=scores.device) >= visible
    return scores.masked_fill_(hidden, -torch.inf).softmax(-1)
