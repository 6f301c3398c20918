"""The strict layout: every tensor a checkpoint of a given config must hold, with shape and type, and nothing else.

Source: the public tensor listing of moonshotai/Kimi-K2.5 (208,550 tensors), which this reproduces exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moonlet.config import ModelConfig, TextConfig, VisionConfig

EXPERT_MATRICES = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a tensor must be.

    dtype: as safetensors spells it: "BF16", "F32", "I32".
    contents: for the two integers of `weight_shape`, the values they must hold; None elsewhere.
    """

    shape: tuple[int, ...]
    dtype: str
    contents: tuple[int, int] | None = None


NamedSpec = tuple[str, TensorSpec]


def expected_layout(config: ModelConfig) -> dict[str, TensorSpec]:
    """Every tensor of the checkpoint by its published name. K2.5 takes about a third of a second."""
    layout = dict(_language_model(config))
    if config.vision is not None:
        layout.update(vision_layout(config.vision))
    return layout


def vision_layout(vision: VisionConfig) -> dict[str, TensorSpec]:
    """Every tensor of the vision tower and its projector by its published name."""
    return {**dict(_vision_tower(vision)), **dict(_projector(vision))}


def _language_model(config: ModelConfig) -> Iterator[NamedSpec]:
    text, prefix = config.text, config.tensor_prefix
    yield f"{prefix}model.embed_tokens.weight", _bf16(text.vocab_size, text.hidden_size)
    yield f"{prefix}model.norm.weight", _bf16(text.hidden_size)
    yield f"{prefix}lm_head.weight", _bf16(text.vocab_size, text.hidden_size)
    attention = dict(_attention(text))
    dense = dict(_mlp(text.hidden_size, text.intermediate_size))
    moe = dict(_moe(text))
    experts = dict(_expert(config))
    for layer_idx in range(text.num_hidden_layers):
        layer = f"{prefix}model.layers.{layer_idx}"
        for name, spec in attention.items():
            yield f"{layer}.{name}", spec
        if not text.is_moe_layer(layer_idx):
            for name, spec in dense.items():
                yield f"{layer}.mlp.{name}", spec
            continue
        for name, spec in moe.items():
            yield f"{layer}.mlp.{name}", spec
        for expert_idx in range(text.n_routed_experts):
            for name, spec in experts.items():
                yield f"{layer}.mlp.experts.{expert_idx}.{name}", spec


def _attention(text: TextConfig) -> Iterator[NamedSpec]:
    heads, hidden = text.num_attention_heads, text.hidden_size
    yield "input_layernorm.weight", _bf16(hidden)
    yield "post_attention_layernorm.weight", _bf16(hidden)
    yield "self_attn.q_a_proj.weight", _bf16(text.q_lora_rank, hidden)
    yield "self_attn.q_a_layernorm.weight", _bf16(text.q_lora_rank)
    yield "self_attn.q_b_proj.weight", _bf16(heads * text.qk_head_dim, text.q_lora_rank)
    yield "self_attn.kv_a_proj_with_mqa.weight", _bf16(text.latent_width, hidden)
    yield "self_attn.kv_a_layernorm.weight", _bf16(text.kv_lora_rank)
    yield "self_attn.kv_b_proj.weight", _bf16(heads * (text.qk_nope_head_dim + text.v_head_dim), text.kv_lora_rank)
    yield "self_attn.o_proj.weight", _bf16(hidden, heads * text.v_head_dim)


def _mlp(hidden: int, width: int) -> Iterator[NamedSpec]:
    yield "gate_proj.weight", _bf16(width, hidden)
    yield "up_proj.weight", _bf16(width, hidden)
    yield "down_proj.weight", _bf16(hidden, width)


def _moe(text: TextConfig) -> Iterator[NamedSpec]:
    yield "gate.weight", _bf16(text.n_routed_experts, text.hidden_size)
    # The bias decides between close scores, so it is published in full precision.
    yield "gate.e_score_correction_bias", TensorSpec((text.n_routed_experts,), "F32")
    for name, spec in _mlp(text.hidden_size, text.shared_intermediate_size):
        yield f"shared_experts.{name}", spec


def _expert(config: ModelConfig) -> Iterator[NamedSpec]:
    text, scheme = config.text, config.quantization
    for name, spec in _mlp(text.hidden_size, text.moe_intermediate_size):
        if scheme is None:
            yield name, spec
            continue
        rows, columns = spec.shape
        yield f"{name}_packed", TensorSpec((rows, columns * scheme.num_bits // 32), "I32")
        yield f"{name}_scale", _bf16(rows, columns // scheme.group_size)
        yield f"{name}_shape", TensorSpec((2,), "I32", contents=(rows, columns))


def _vision_tower(vision: VisionConfig) -> Iterator[NamedSpec]:
    width, inner = vision.vt_hidden_size, vision.vt_intermediate_size
    patch = vision.patch_size
    grid = (vision.init_pos_emb_height, vision.init_pos_emb_width)
    yield "vision_tower.patch_embed.proj.weight", _bf16(width, 3, patch, patch)
    yield "vision_tower.patch_embed.proj.bias", _bf16(width)
    yield "vision_tower.patch_embed.pos_emb.weight", _bf16(*grid, width)
    for block_idx in range(vision.vt_num_hidden_layers):
        block = f"vision_tower.encoder.blocks.{block_idx}"
        yield from _with_bias(f"{block}.norm0", width)
        yield from _with_bias(f"{block}.norm1", width)
        yield from _with_bias(f"{block}.wqkv", 3 * width, width)
        yield from _with_bias(f"{block}.wo", width, width)
        yield from _with_bias(f"{block}.mlp.fc0", inner, width)
        yield from _with_bias(f"{block}.mlp.fc1", width, inner)
    yield from _with_bias("vision_tower.encoder.final_layernorm", width)


def _projector(vision: VisionConfig) -> Iterator[NamedSpec]:
    merged = vision.merged_hidden_size
    yield from _with_bias("mm_projector.pre_norm", vision.mm_hidden_size)
    yield from _with_bias("mm_projector.proj.0", merged, merged)
    yield from _with_bias("mm_projector.proj.2", vision.text_hidden_size, merged)


def _with_bias(name: str, *shape: int) -> Iterator[NamedSpec]:
    yield f"{name}.weight", _bf16(*shape)
    yield f"{name}.bias", _bf16(shape[0])


def _bf16(*shape: int) -> TensorSpec:
    return TensorSpec(shape, "BF16")
