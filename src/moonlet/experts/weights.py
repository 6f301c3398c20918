"""The routed experts of one MoE layer, as the checkpoint stores them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from moonlet.config import ModelConfig


@dataclass(frozen=True, slots=True)
class PackedMatrix:
    """One INT4 group-32 matrix of out x in weights, still in the bytes of the file.

    packed: [out, in / 8] int32, code + 8 in each nibble.  scale: [out, in / 32] bfloat16.
    """

    packed: Tensor
    scale: Tensor


@dataclass(frozen=True, slots=True)
class PackedExpert:
    """gate_proj and up_proj: moe_intermediate_size x hidden_size; down_proj the other way round."""

    gate_proj: PackedMatrix
    up_proj: PackedMatrix
    down_proj: PackedMatrix


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """All routed experts of one decoder layer, in order of their id."""

    experts: tuple[PackedExpert, ...]


def bind_experts(config: ModelConfig, tensor: Callable[[str], Tensor]) -> dict[int, PackedLayer]:
    """The packed experts of every MoE layer by decoder layer index; `tensor` maps a published name to its bytes."""

    def matrix(at: str) -> PackedMatrix:
        return PackedMatrix(tensor(f"{at}.weight_packed"), tensor(f"{at}.weight_scale"))

    def expert(at: str) -> PackedExpert:
        return PackedExpert(matrix(f"{at}.gate_proj"), matrix(f"{at}.up_proj"), matrix(f"{at}.down_proj"))

    text = config.text
    return {
        layer_idx: PackedLayer(
            tuple(
                expert(f"{config.tensor_prefix}model.layers.{layer_idx}.mlp.experts.{expert_id}")
                for expert_id in range(text.n_routed_experts)
            )
        )
        for layer_idx in range(text.num_hidden_layers)
        if text.is_moe_layer(layer_idx)
    }
