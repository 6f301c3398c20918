"""Routed experts on the CPU kernels, reading the mapped bytes of the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from moonlet.experts.weights import PackedLayer
from moonlet.kernels import Int4Experts, Runtime, experts_forward


class CpuExperts:
    """Experts stay where the checkpoint's mapping put them; the kernels expand them a cache-sized tile at a time.

    Hidden states on another device are fetched and the result is sent back: attention may run on a GPU while the
    experts, most of the bytes, stay in main memory.
    """

    def __init__(self, rt: Runtime, layers: Mapping[int, PackedLayer], activations: Literal["int8", "bf16"]) -> None:
        self._rt = rt
        self._activations = activations
        self._layers = {layer_idx: _kernel_layer(layer) for layer_idx, layer in layers.items()}

    def forward(self, layer_idx: int, hidden_states: Tensor, topk_ids: Tensor, topk_weights: Tensor) -> Tensor:
        """See `ExpertBackend.forward`."""
        output = experts_forward(
            self._rt,
            self._layers[layer_idx],
            hidden_states.to("cpu", torch.float32).contiguous(),
            topk_ids.to("cpu", torch.int32).contiguous(),
            topk_weights.to("cpu", torch.float32).contiguous(),
            activations=self._activations,
        )
        return output.to(hidden_states.device, hidden_states.dtype)


def _kernel_layer(layer: PackedLayer) -> Int4Experts:
    experts = layer.experts
    return Int4Experts(
        gate_packed=[e.gate_proj.packed for e in experts],
        gate_scales=[e.gate_proj.scale for e in experts],
        up_packed=[e.up_proj.packed for e in experts],
        up_scales=[e.up_proj.scale for e in experts],
        down_packed=[e.down_proj.packed for e in experts],
        down_scales=[e.down_proj.scale for e in experts],
    )
