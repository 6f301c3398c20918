"""Routed experts in the block formats of GGUF files on the CPU kernels, reading the mapped bytes of the file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from moonlet.checkpoint.gguf import BlockLayer
from moonlet.kernels import BlockExpertsLayer, Runtime, block_experts_forward, block_formats


class CpuBlockExperts:
    """Experts stay where the file's mapping put them, each kind of matrix in the format the file gave it.

    Hidden states on another device are fetched and the result is sent back, as for `CpuExperts`.
    """

    def __init__(self, rt: Runtime, layers: Mapping[int, BlockLayer]) -> None:
        """layers: by decoder layer index; `have_kernels` is true of each."""
        self._rt = rt
        self._layers = {layer_idx: _kernel_layer(layer) for layer_idx, layer in layers.items()}

    def forward(self, layer_idx: int, hidden_states: Tensor, topk_ids: Tensor, topk_weights: Tensor) -> Tensor:
        """See `ExpertBackend.forward`."""
        output = block_experts_forward(
            self._rt,
            self._layers[layer_idx],
            hidden_states.to("cpu", torch.float32).contiguous(),
            topk_ids.to("cpu", torch.int32).contiguous(),
            topk_weights.to("cpu", torch.float32).contiguous(),
        )
        return output.to(hidden_states.device, hidden_states.dtype)


def have_kernels(layer: BlockLayer) -> bool:
    """Whether every matrix of the layer is in a format the kernels multiply by as stored."""
    matrices = (layer.gate_proj, layer.up_proj, layer.down_proj)
    return all(matrix.kind.name in block_formats() for matrix in matrices)


def _kernel_layer(layer: BlockLayer) -> BlockExpertsLayer:
    gate, up, down = layer.gate_proj, layer.up_proj, layer.down_proj
    if gate.rows.is_contiguous():
        return BlockExpertsLayer(gate.rows, gate.kind.name, up.rows, up.kind.name, down.rows, down.kind.name)
    # Views of one stack, the rows of gate before those of up: given whole, since it is contiguous.
    num_experts, num_rows, row_bytes = gate.rows.shape
    both = gate.rows.as_strided((num_experts, 2 * num_rows, row_bytes), (2 * num_rows * row_bytes, row_bytes, 1))
    return BlockExpertsLayer(both, gate.kind.name, None, gate.kind.name, down.rows, down.kind.name)
