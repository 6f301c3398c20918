"""Metadata of architecture deepseek2 to `ModelConfig`, and back.

What the file does not say follows from the architecture or from llama.cpp's meaning of an absent key. Source:
src/models/deepseek2.cpp and conversion/deepseek.py, conversion/base.py of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Collection

from moonlet.checkpoint.gguf.metadata import Metadata
from moonlet.config import ModelConfig, RopeScaling, TextConfig
from moonlet.errors import ConfigError

ARCHITECTURE = "deepseek2"
GATING_SIGMOID = 2
_YARN_LOG_FACTOR = 0.1
"""deepseek2 files store 0.1 * mscale_all_dim as the YaRN log multiplier, and llama.cpp divides it out again."""


def check_architecture(metadata: Metadata) -> None:
    """Refuse a file of another architecture; a vision projector is told apart. Raises ConfigError."""
    architecture = metadata.string("general.architecture")
    if architecture == "clip" or metadata.string("general.type", "model") == "mmproj":
        raise ConfigError(
            f"{metadata.file_name}: holds the vision tower (mmproj), not a language model; give the model's own .gguf "
            "file, and this one with --mmproj"
        )
    if architecture != ARCHITECTURE:
        raise ConfigError(
            f"{metadata.name('general.architecture')} is {architecture[:40]!r}, expected {ARCHITECTURE!r}, "
            "the architecture of Kimi K2, K2-Thinking and K2.5"
        )


def read_model_config(metadata: Metadata, tensor_names: Collection[str]) -> ModelConfig:
    """The model's facts, under the names of config.json.

    tensor_names: of the whole model; they tell how queries are stored.
    Raises ConfigError naming file and key for a missing, impossible or unsupported fact.
    """
    check_architecture(metadata)
    heads = metadata.integer("deepseek2.attention.head_count")
    split_kv_b = metadata.has("deepseek2.attention.key_length_mla")
    suffix = "_mla" if split_kv_b else ""
    rope_width = metadata.integer("deepseek2.rope.dimension_count")
    qk_head_dim = metadata.integer(f"deepseek2.attention.key_length{suffix}")
    vocab_size = metadata.integer("deepseek2.vocab_size", len(metadata.strings("tokenizer.ggml.tokens")))
    _check_supported(metadata, tensor_names)
    eos = dict.fromkeys(
        metadata.integer(f"tokenizer.ggml.{name}_token_id")
        for name in ("eos", "eot")
        if name == "eos" or metadata.has(f"tokenizer.ggml.{name}_token_id")
    )
    padding = "tokenizer.ggml.padding_token_id"
    try:
        text = TextConfig(
            model_type="kimi_k2",
            vocab_size=vocab_size,
            hidden_size=metadata.integer("deepseek2.embedding_length"),
            intermediate_size=metadata.integer("deepseek2.feed_forward_length"),
            moe_intermediate_size=metadata.integer("deepseek2.expert_feed_forward_length"),
            num_hidden_layers=metadata.integer("deepseek2.block_count"),
            num_attention_heads=heads,
            n_routed_experts=metadata.integer("deepseek2.expert_count"),
            n_shared_experts=metadata.integer("deepseek2.expert_shared_count"),
            num_experts_per_tok=metadata.integer("deepseek2.expert_used_count"),
            first_k_dense_replace=metadata.integer("deepseek2.leading_dense_block_count", 0),
            moe_layer_freq=1,
            n_group=max(1, metadata.integer("deepseek2.expert_group_count", 1)),
            topk_group=max(1, metadata.integer("deepseek2.expert_group_used_count", 1)),
            topk_method="noaux_tc",
            scoring_func="sigmoid",
            norm_topk_prob=metadata.boolean("deepseek2.expert_weights_norm", False),
            routed_scaling_factor=metadata.number("deepseek2.expert_weights_scale", 1.0),
            q_lora_rank=metadata.integer("deepseek2.attention.q_lora_rank"),
            kv_lora_rank=metadata.integer("deepseek2.attention.kv_lora_rank"),
            qk_nope_head_dim=qk_head_dim - rope_width,
            qk_rope_head_dim=rope_width,
            v_head_dim=metadata.integer(f"deepseek2.attention.value_length{suffix}"),
            rms_norm_eps=metadata.number("deepseek2.attention.layer_norm_rms_epsilon"),
            rope_theta=metadata.number("deepseek2.rope.freq_base", 10000.0),
            rope_scaling=_rope_scaling(metadata),
            max_position_embeddings=metadata.integer("deepseek2.context_length"),
            # A file without output.weight would share the embeddings; this family never does, so it is missing.
            tie_word_embeddings=False,
            hidden_act="silu",
            bos_token_id=metadata.integer("tokenizer.ggml.bos_token_id"),
            eos_token_ids=tuple(eos),
            pad_token_id=metadata.integer(padding) if metadata.has(padding) else None,
        )
    except ConfigError as cause:
        # Range checks name the field alone.
        message = str(cause)
        raise ConfigError(message if message.startswith(metadata.file_name) else metadata.name(message)) from None
    return ModelConfig("kimi_k2", text, None, None, None, metadata.unused())


def _check_supported(metadata: Metadata, tensor_names: Collection[str]) -> None:
    gating = metadata.integer("deepseek2.expert_gating_func", 1)
    if gating != GATING_SIGMOID:
        raise ConfigError(
            f"{metadata.name('deepseek2.expert_gating_func')} is {gating}, expected {GATING_SIGMOID} (sigmoid); "
            "softmax routing, as in DeepSeek-V2, is not supported"
        )
    if metadata.integer("deepseek2.nextn_predict_layers", 0):
        raise ConfigError(
            f"{metadata.name('deepseek2.nextn_predict_layers')} is not 0: "
            "multi-token prediction layers are not supported"
        )
    if "blk.0.attn_q.weight" in tensor_names:
        raise ConfigError(f"{metadata.file_name}: uncompressed queries (attn_q) are not supported")


def _rope_scaling(metadata: Metadata) -> RopeScaling | None:
    kind = metadata.string("deepseek2.rope.scaling.type", "none")
    if kind == "none":
        return None
    for key in ("yarn_ext_factor", "attn_factor", "yarn_attn_factor"):
        found = metadata.number(f"deepseek2.rope.scaling.{key}", 1.0)
        if found != 1.0:
            raise ConfigError(f"{metadata.name(f'deepseek2.rope.scaling.{key}')} is {found}, expected 1")
    multiplier = metadata.number("deepseek2.rope.scaling.yarn_log_multiplier", 0.0)
    mscale = round(multiplier / _YARN_LOG_FACTOR, 6)
    return RopeScaling(
        type=kind,
        factor=metadata.number("deepseek2.rope.scaling.factor"),
        original_max_position_embeddings=metadata.integer("deepseek2.rope.scaling.original_context_length"),
        beta_fast=metadata.number("deepseek2.rope.scaling.yarn_beta_fast", 32.0),
        beta_slow=metadata.number("deepseek2.rope.scaling.yarn_beta_slow", 1.0),
        # llama.cpp leaves rotated values unscaled, which config.json says by two equal factors.
        mscale=mscale,
        mscale_all_dim=mscale,
    )


def model_metadata(config: ModelConfig) -> dict[str, bool | int | float | str]:
    """The metadata that says what `config` says; `read_model_config` of it gives the same facts.

    Raises ConfigError for facts the format or llama.cpp cannot express.
    """
    text = config.text
    if text.moe_layer_freq != 1:
        raise ConfigError(f"moe_layer_freq is {text.moe_layer_freq}, expected 1: GGUF files cannot say otherwise")
    facts: dict[str, bool | int | float | str] = {
        "block_count": text.num_hidden_layers,
        "context_length": text.max_position_embeddings,
        "embedding_length": text.hidden_size,
        "feed_forward_length": text.intermediate_size,
        "vocab_size": text.vocab_size,
        "leading_dense_block_count": text.first_k_dense_replace,
        "attention.head_count": text.num_attention_heads,
        # Absorbed attention has one shared key-value head: the latent and the rotary key.
        "attention.head_count_kv": 1,
        "attention.layer_norm_rms_epsilon": text.rms_norm_eps,
        "attention.q_lora_rank": text.q_lora_rank,
        "attention.kv_lora_rank": text.kv_lora_rank,
        "attention.key_length": text.latent_width,
        "attention.value_length": text.kv_lora_rank,
        "attention.key_length_mla": text.qk_head_dim,
        "attention.value_length_mla": text.v_head_dim,
        "expert_count": text.n_routed_experts,
        "expert_used_count": text.num_experts_per_tok,
        "expert_shared_count": text.n_shared_experts,
        "expert_feed_forward_length": text.moe_intermediate_size,
        "expert_group_count": text.n_group,
        "expert_group_used_count": text.topk_group,
        "expert_gating_func": GATING_SIGMOID,
        "expert_weights_scale": text.routed_scaling_factor,
        "expert_weights_norm": text.norm_topk_prob,
        "rope.dimension_count": text.qk_rope_head_dim,
        "rope.freq_base": text.rope_theta,
        **_rope_metadata(text.rope_scaling),
    }
    return {f"{ARCHITECTURE}.{key}": value for key, value in facts.items()}


def _rope_metadata(scaling: RopeScaling | None) -> dict[str, float | int | str]:
    if scaling is None:
        return {}
    if scaling.mscale != scaling.mscale_all_dim:
        raise ConfigError(
            f"rope_scaling.mscale is {scaling.mscale} and mscale_all_dim {scaling.mscale_all_dim}, expected equal "
            "values: GGUF files hold one"
        )
    return {
        "rope.scaling.type": scaling.type,
        "rope.scaling.factor": scaling.factor,
        "rope.scaling.original_context_length": scaling.original_max_position_embeddings,
        "rope.scaling.yarn_beta_fast": scaling.beta_fast,
        "rope.scaling.yarn_beta_slow": scaling.beta_slow,
        "rope.scaling.yarn_log_multiplier": _YARN_LOG_FACTOR * scaling.mscale_all_dim,
    }
