"""Routed experts in the block formats of GGUF files, in plain torch: the truth their kernels are measured against."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from moonlet.checkpoint.gguf import BlockLayer


class BlockExperts:
    """Dequantises one chosen expert at a time, so memory never holds more than one expert widened.

    Works on the CPU, where the file is mapped, whatever device the hidden states come from.
    """

    def __init__(self, layers: Mapping[int, BlockLayer], dtype: torch.dtype) -> None:
        """layers: by decoder layer index.  dtype: of the products; float32 is exact up to the order of addition."""
        self._layers = layers
        self._dtype = dtype

    def forward(self, layer_idx: int, hidden_states: Tensor, topk_ids: Tensor, topk_weights: Tensor) -> Tensor:
        """See `ExpertBackend.forward`."""
        x = hidden_states.to("cpu", self._dtype)
        ids, route_weights = topk_ids.cpu(), topk_weights.to("cpu", torch.float32)
        output = torch.zeros(hidden_states.shape, dtype=torch.float32)
        # unique() sorts, so every token adds its experts in ascending id, whatever the other tokens chose.
        for expert_id in torch.unique(ids).tolist():
            rows, choices = torch.where(ids == expert_id)
            result = self._expert(self._layers[layer_idx], expert_id, x[rows])
            output.index_add_(0, rows, route_weights[rows, choices, None] * result.to(torch.float32))
        return output.to(hidden_states.device, hidden_states.dtype)

    def _expert(self, layer: BlockLayer, expert_id: int, x: Tensor) -> Tensor:
        gate = linear(x, layer.gate_proj[expert_id].dequantize(self._dtype))
        up = linear(x, layer.up_proj[expert_id].dequantize(self._dtype))
        return linear(silu(gate) * up, layer.down_proj[expert_id].dequantize(self._dtype))
