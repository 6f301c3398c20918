"""Multi-head latent attention over pages of latents.

T tokens, H heads, N qk_nope_head_dim, R qk_rope_head_dim, V v_head_dim, C kv_lora_rank.

What is cached per token is one latent of C values and one rotated key of R values, shared by all
heads. The absorbed form moves each head's key expansion to its query (q_nope @ W_uk, C values) and its
value expansion behind the softmax, so attention reads the latents alone.

Source: DeepSeek-V2 report, arXiv 2405.04434, section 2.1.
"""

from __future__ import annotations

from torch import Tensor

from moonlet.config import TextConfig
from moonlet.kernels.ops import Ops
from moonlet.model.batch import ForwardBatch
from moonlet.model.weights import AttentionWeights

LATENT_NORM_EPS = 1e-6
"""The published modelling code builds q_a_layernorm and kv_a_layernorm with its norm class's default of 1e-6,
not with the config's rms_norm_eps."""


def attend(
    ops: Ops,
    config: TextConfig,
    weights: AttentionWeights,
    hidden_states: Tensor,
    cos_sin: tuple[Tensor, Tensor],
    softmax_scale: float,
    batch: ForwardBatch,
    pages: Tensor,
) -> Tensor:
    """One layer's attention output: [T, hidden_size] float32; writes the batch's latents into `pages` first.

    hidden_states: [T, hidden_size] float32, already normed.  cos_sin: two [T, R / 2] float32.
    pages: [num_pages, 64, C + R], this layer's share of the cache.
    """
    q_lora, compressed = ops.linears(hidden_states, weights.q_a_proj, weights.kv_a_proj_with_mqa)
    q = ops.linear(ops.rms_norm(q_lora, weights.q_a_layernorm, LATENT_NORM_EPS), weights.q_b_proj)
    # Stored before attending: a token sees itself, and the later tokens of a chunk see it through the same pages.
    q_nope, q_rope = ops.prepare_attention(
        q.view(-1, config.num_attention_heads, config.qk_head_dim),
        compressed,
        weights.kv_a_layernorm,
        LATENT_NORM_EPS,
        *cos_sin,
        pages,
        batch.slots,
    )
    heads = ops.attend(
        q_nope,
        q_rope,
        weights.kv_b_proj,
        pages,
        batch.page_tables,
        batch.seq_idx,
        batch.context_lens,
        softmax_scale,
    )
    return ops.linear(heads, weights.o_proj)
