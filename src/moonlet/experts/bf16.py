"""Routed experts of checkpoints that were never quantised: plain BF16 matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from moonlet.config import ModelConfig
from moonlet.kernels.ops import Ops
from moonlet.kernels.weights import Bf16Weight


@dataclass(frozen=True, slots=True)
class Bf16Expert:
    gate_proj: Bf16Weight
    up_proj: Bf16Weight
    down_proj: Bf16Weight


class Bf16Experts:
    """Runs each chosen expert over its tokens with the linear layers of `ops`, in ascending expert id.

    With the CPU kernels a row's bits do not depend on the other rows, so the promise of decision 3 holds here too.
    """

    def __init__(self, config: ModelConfig, tensor: Callable[[str], Tensor], ops: Ops) -> None:
        """tensor: a published name to its weight, on the device of `ops`."""
        self._ops = ops
        text = config.text

        def expert(at: str) -> Bf16Expert:
            gate, up, down = (Bf16Weight(tensor(f"{at}.{part}_proj.weight")) for part in ("gate", "up", "down"))
            return Bf16Expert(gate, up, down)

        self._layers = {
            layer_idx: tuple(
                expert(f"{config.tensor_prefix}model.layers.{layer_idx}.mlp.experts.{expert_id}")
                for expert_id in range(text.n_routed_experts)
            )
            for layer_idx in range(text.num_hidden_layers)
            if text.is_moe_layer(layer_idx)
        }

    def forward(self, layer_idx: int, hidden_states: Tensor, topk_ids: Tensor, topk_weights: Tensor) -> Tensor:
        """See `ExpertBackend.forward`."""
        output = torch.zeros_like(hidden_states)
        for expert_id in torch.unique(topk_ids).tolist():
            rows, choices = torch.where(topk_ids == expert_id)
            expert, x = self._layers[layer_idx][expert_id], hidden_states[rows]
            y = self._ops.swiglu(x, expert.gate_proj, expert.up_proj, expert.down_proj)
            output.index_add_(0, rows, topk_weights[rows, choices, None] * y)
        return output
