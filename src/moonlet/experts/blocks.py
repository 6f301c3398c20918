"""Routed experts in the block formats of GGUF files, in plain torch: the truth their kernels are measured against."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from moonlet.checkpoint.gguf import BlockLayer

WIDENED_BYTES = 256 << 20
"""Room for experts kept widened between calls: all of a small model, next to nothing of a large one."""


@dataclass(frozen=True, slots=True)
class _Widened:
    gate_proj: Tensor
    up_proj: Tensor
    down_proj: Tensor

    @property
    def num_bytes(self) -> int:
        return self.gate_proj.nbytes + self.up_proj.nbytes + self.down_proj.nbytes


class BlockExperts:
    """Dequantises one chosen expert at a time and keeps those used last, up to `WIDENED_BYTES`.

    Works on the CPU, where the file is mapped, whatever device the hidden states come from. The products are torch's,
    so the last bits of a token's output may depend on which tokens share the call.
    """

    def __init__(self, layers: Mapping[int, BlockLayer], dtype: torch.dtype) -> None:
        """layers: by decoder layer index.  dtype: of the products; float32 is exact up to the order of addition."""
        self._layers = layers
        self._dtype = dtype
        self._kept: OrderedDict[tuple[int, int], _Widened] = OrderedDict()
        self._kept_bytes = 0

    def forward(self, layer_idx: int, hidden_states: Tensor, topk_ids: Tensor, topk_weights: Tensor) -> Tensor:
        """See `ExpertBackend.forward`."""
        x = hidden_states.to("cpu", self._dtype)
        ids, route_weights = topk_ids.cpu(), topk_weights.to("cpu", torch.float32)
        output = torch.zeros(hidden_states.shape, dtype=torch.float32)
        # unique() sorts, so every token adds its experts in ascending id, whatever the other tokens chose.
        for expert_id in torch.unique(ids).tolist():
            rows, choices = torch.where(ids == expert_id)
            expert, inputs = self._widen(layer_idx, expert_id), x[rows]
            gate, up = linear(inputs, expert.gate_proj), linear(inputs, expert.up_proj)
            result = linear(silu(gate) * up, expert.down_proj)
            output.index_add_(0, rows, route_weights[rows, choices, None] * result.to(torch.float32))
        return output.to(hidden_states.device, hidden_states.dtype)

    def _widen(self, layer_idx: int, expert_id: int) -> _Widened:
        """One expert in `dtype`, from the file or from the last time it was used."""
        key = (layer_idx, expert_id)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        layer = self._layers[layer_idx]
        gate, up, down = (
            m[expert_id].dequantize(self._dtype) for m in (layer.gate_proj, layer.up_proj, layer.down_proj)
        )
        widened = _Widened(gate, up, down)
        self._kept[key] = widened
        self._kept_bytes += widened.num_bytes
        while self._kept_bytes > WIDENED_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.num_bytes
        return widened
