"""Configs of made-up models for benchmarks: the published architecture, text only, at sizes a laptop can hold."""

from __future__ import annotations

from dataclasses import replace

from moonlet.config import Int4Quantization, ModelConfig, RopeScaling, TextConfig

NUM_SPECIAL = 256
"""The last ids of a vocabulary are special tokens: [BOS], [EOS] and <|im_end|> first, [PAD] last."""

_IGNORE = ("lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*")


def _text(vocab_size: int) -> TextConfig:
    """Kimi K2.5's own text config, but for the vocabulary."""
    first_special = vocab_size - NUM_SPECIAL
    return TextConfig(
        model_type="kimi_k2",
        vocab_size=vocab_size,
        hidden_size=7168,
        intermediate_size=18432,
        moe_intermediate_size=2048,
        num_hidden_layers=61,
        num_attention_heads=64,
        n_routed_experts=384,
        n_shared_experts=1,
        num_experts_per_tok=8,
        first_k_dense_replace=1,
        moe_layer_freq=1,
        n_group=1,
        topk_group=1,
        topk_method="noaux_tc",
        scoring_func="sigmoid",
        norm_topk_prob=True,
        routed_scaling_factor=2.827,
        q_lora_rank=1536,
        kv_lora_rank=512,
        qk_nope_head_dim=128,
        qk_rope_head_dim=64,
        v_head_dim=128,
        rms_norm_eps=1e-5,
        rope_theta=50000.0,
        rope_scaling=RopeScaling("yarn", 64.0, 4096, 32.0, 1.0, 1.0, 1.0),
        max_position_embeddings=262144,
        tie_word_embeddings=False,
        hidden_act="silu",
        bos_token_id=first_special,
        eos_token_ids=(first_special + 2,),
        pad_token_id=vocab_size - 1,
    )


def _model(text: TextConfig) -> ModelConfig:
    return ModelConfig(
        model_type="kimi_k2",
        text=text,
        vision=None,
        quantization=Int4Quantization(group_size=32, num_bits=4, ignore=_IGNORE),
        media_placeholder_token_id=None,
        unused_keys=(),
    )


def tiny() -> ModelConfig:
    """3 layers, 7 MB: for trying the commands."""
    return _model(
        replace(
            _text(1024),
            hidden_size=256,
            intermediate_size=512,
            moe_intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            n_routed_experts=16,
            num_experts_per_tok=4,
            q_lora_rank=96,
            kv_lora_rank=64,
            qk_nope_head_dim=32,
            qk_rope_head_dim=16,
            v_head_dim=32,
        )
    )


def mid() -> ModelConfig:
    """12 layers, 5.6 GB: more than any cache, little enough for most machines; the decode benchmark runs on it."""
    return _model(
        replace(
            _text(8192),
            hidden_size=2048,
            intermediate_size=8192,
            moe_intermediate_size=1024,
            num_hidden_layers=12,
            num_attention_heads=16,
            n_routed_experts=128,
            q_lora_rank=768,
        )
    )


def k25_layer() -> ModelConfig:
    """K2.5's real shape with the dense layer and one expert layer, 11 GB: for timing a layer at full size."""
    return _model(replace(_text(8192), num_hidden_layers=2))


PRESETS = {"tiny": tiny, "mid": mid, "k25-layer": k25_layer}
