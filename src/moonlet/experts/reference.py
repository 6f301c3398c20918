"""Routed experts in plain torch: the truth the kernels are measured against, and the path for a GPU."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from moonlet.experts.weights import PackedExpert, PackedLayer, PackedMatrix
from moonlet.formats.int4g32 import dequantize


class TorchExperts:
    """Dequantises one chosen expert at a time, so memory never holds more than one expert widened.

    Works on the device the packed tensors are on, in `dtype` (float32 for the reference, bfloat16 on a GPU).
    """

    def __init__(self, layers: Mapping[int, PackedLayer], dtype: torch.dtype) -> None:
        self._layers = layers
        self._dtype = dtype

    def forward(self, layer_idx: int, hidden_states: Tensor, topk_ids: Tensor, topk_weights: Tensor) -> Tensor:
        """See `ExpertBackend.forward`."""
        layer = self._layers[layer_idx]
        x = hidden_states.to(self._dtype)
        output = torch.zeros_like(hidden_states)
        # unique() sorts, so every token adds its experts in ascending id, whatever the other tokens chose.
        for expert_id in torch.unique(topk_ids).tolist():
            rows, choices = torch.where(topk_ids == expert_id)
            weights = topk_weights[rows, choices, None]
            output.index_add_(0, rows, weights * self._expert(layer.experts[expert_id], x[rows]).to(output.dtype))
        return output

    def _expert(self, expert: PackedExpert, x: Tensor) -> Tensor:
        gate = linear(x, self._widen(expert.gate_proj))
        up = linear(x, self._widen(expert.up_proj))
        return linear(silu(gate) * up, self._widen(expert.down_proj))

    def _widen(self, matrix: PackedMatrix) -> Tensor:
        return dequantize(matrix.packed, matrix.scale, self._dtype)


def move_layers(layers: Mapping[int, PackedLayer], device: torch.device) -> dict[int, PackedLayer]:
    """The same experts copied to `device`, still packed."""

    def move(matrix: PackedMatrix) -> PackedMatrix:
        return PackedMatrix(matrix.packed.to(device), matrix.scale.to(device))

    return {
        layer_idx: PackedLayer(
            tuple(PackedExpert(move(e.gate_proj), move(e.up_proj), move(e.down_proj)) for e in layer.experts)
        )
        for layer_idx, layer in layers.items()
    }
