"""The seam between the decoder and wherever its routed experts live."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class ExpertBackend(Protocol):
    """Computes the routed experts of every MoE layer.

    The decoder does not know where the weights are: resident, mapped from a file, on another device.
    """

    def forward(self, layer_idx: int, hidden_states: Tensor, topk_ids: Tensor, topk_weights: Tensor) -> Tensor:
        """The weighted sum of each token's chosen experts, added in ascending order of expert id.

        layer_idx: index of the decoder layer (dense layers count).  hidden_states: [T, hidden_size] float32.
        topk_ids: [T, num_experts_per_tok] int32, ascending.  topk_weights: same shape, float32.
        Returns [T, hidden_size] float32 on the device of `hidden_states`.
        """
        ...
