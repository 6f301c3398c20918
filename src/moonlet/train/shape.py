"""The dimensions of K25-nano, under config.json's own names."""

from __future__ import annotations

import math
from dataclasses import dataclass

from moonlet.train.tower import TowerShape


@dataclass(frozen=True, slots=True)
class NanoShape:
    """Kimi K2.5's architecture at a size that two CPU cores can train; `vision` is None for a model of text alone."""

    vocab_size: int = 1024
    hidden_size: int = 256
    num_hidden_layers: int = 4
    first_k_dense_replace: int = 1
    intermediate_size: int = 768
    moe_intermediate_size: int = 256
    n_routed_experts: int = 16
    num_experts_per_tok: int = 4
    n_shared_experts: int = 1
    routed_scaling_factor: float = 1.5
    num_attention_heads: int = 8
    q_lora_rank: int = 128
    kv_lora_rank: int = 64
    qk_nope_head_dim: int = 32
    qk_rope_head_dim: int = 32
    v_head_dim: int = 32
    rms_norm_eps: float = 1e-5
    rope_theta: float = 50000.0
    rope_factor: float = 8.0
    rope_beta_fast: float = 32.0
    rope_beta_slow: float = 1.0
    rope_mscale_all_dim: float = 1.0
    original_max_position_embeddings: int = 4096
    vision: TowerShape | None = None

    @property
    def qk_head_dim(self) -> int:
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def max_position_embeddings(self) -> int:
        return int(self.original_max_position_embeddings * self.rope_factor)

    @property
    def softmax_scale(self) -> float:
        """1/sqrt(qk_head_dim) times YaRN's mscale squared (YaRN, arXiv 2309.00071; DeepSeek-V3's published code)."""
        mscale = 0.1 * self.rope_mscale_all_dim * math.log(self.rope_factor) + 1.0
        return mscale * mscale / math.sqrt(self.qk_head_dim)
