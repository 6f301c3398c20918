"""The weights of the decoder as named fields: after binding nobody looks a tensor up by string."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from moonlet.config import ModelConfig
from moonlet.kernels.weights import LinearWeight


@dataclass(frozen=True, slots=True)
class MlpWeights:
    """A SwiGLU: down(silu(gate(x)) * up(x)); the dense layers and the shared expert."""

    gate_proj: LinearWeight
    up_proj: LinearWeight
    down_proj: LinearWeight


@dataclass(frozen=True, slots=True)
class AttentionWeights:
    """Multi-head latent attention.

    kv_b_proj stays a bare BF16 tensor [num_heads * (qk_nope_head_dim + v_head_dim), kv_lora_rank]: the absorbed form
    uses its two halves from opposite sides, so it is never applied as one linear.
    """

    q_a_proj: LinearWeight
    q_a_layernorm: Tensor
    q_b_proj: LinearWeight
    kv_a_proj_with_mqa: LinearWeight
    kv_a_layernorm: Tensor
    kv_b_proj: Tensor
    o_proj: LinearWeight


@dataclass(frozen=True, slots=True)
class MoeWeights:
    """The router and the shared expert of an MoE layer; its routed experts belong to the ExpertBackend.

    gate: [n_routed_experts, hidden_size].  e_score_correction_bias: [n_routed_experts] float32.
    """

    gate: LinearWeight
    e_score_correction_bias: Tensor
    shared_experts: MlpWeights


@dataclass(frozen=True, slots=True)
class LayerWeights:
    input_layernorm: Tensor
    self_attn: AttentionWeights
    post_attention_layernorm: Tensor
    mlp: MlpWeights | MoeWeights


@dataclass(frozen=True, slots=True)
class DecoderWeights:
    """embed_tokens: [vocab_size, hidden_size] bfloat16.  norm: [hidden_size].  lm_head: [vocab_size, hidden_size]."""

    embed_tokens: Tensor
    layers: tuple[LayerWeights, ...]
    norm: Tensor
    lm_head: LinearWeight


@dataclass(frozen=True, slots=True)
class WeightSource:
    """Where binding takes tensors from.

    tensor: a name to the stored tensor, placed where it will be used (norms, embeddings, kv_b_proj, bias).
    linear: a name to a linear's weight in the form its device multiplies by (BF16, or INT8 made at load).
    exact_linear: the same, never lowered in precision: the router decides by small differences.
    """

    tensor: Callable[[str], Tensor]
    linear: Callable[[str], LinearWeight]
    exact_linear: Callable[[str], LinearWeight]


def bind_weights(config: ModelConfig, source: WeightSource) -> DecoderWeights:
    """Take every non-expert tensor of the decoder from `source`, by its published name."""
    prefix = config.tensor_prefix
    text = config.text

    def mlp(at: str) -> MlpWeights:
        gate, up, down = (source.linear(f"{at}.{part}_proj.weight") for part in ("gate", "up", "down"))
        return MlpWeights(gate, up, down)

    def attention(at: str) -> AttentionWeights:
        return AttentionWeights(
            q_a_proj=source.linear(f"{at}.q_a_proj.weight"),
            q_a_layernorm=source.tensor(f"{at}.q_a_layernorm.weight"),
            q_b_proj=source.linear(f"{at}.q_b_proj.weight"),
            kv_a_proj_with_mqa=source.linear(f"{at}.kv_a_proj_with_mqa.weight"),
            kv_a_layernorm=source.tensor(f"{at}.kv_a_layernorm.weight"),
            kv_b_proj=source.tensor(f"{at}.kv_b_proj.weight"),
            o_proj=source.linear(f"{at}.o_proj.weight"),
        )

    def layer(layer_idx: int) -> LayerWeights:
        at = f"{prefix}model.layers.{layer_idx}"
        if text.is_moe_layer(layer_idx):
            mixture: MlpWeights | MoeWeights = MoeWeights(
                gate=source.exact_linear(f"{at}.mlp.gate.weight"),
                e_score_correction_bias=source.tensor(f"{at}.mlp.gate.e_score_correction_bias"),
                shared_experts=mlp(f"{at}.mlp.shared_experts"),
            )
        else:
            mixture = mlp(f"{at}.mlp")
        return LayerWeights(
            input_layernorm=source.tensor(f"{at}.input_layernorm.weight"),
            self_attn=attention(f"{at}.self_attn"),
            post_attention_layernorm=source.tensor(f"{at}.post_attention_layernorm.weight"),
            mlp=mixture,
        )

    return DecoderWeights(
        embed_tokens=source.tensor(f"{prefix}model.embed_tokens.weight"),
        layers=tuple(layer(i) for i in range(text.num_hidden_layers)),
        norm=source.tensor(f"{prefix}model.norm.weight"),
        lm_head=source.linear(f"{prefix}lm_head.weight"),
    )
