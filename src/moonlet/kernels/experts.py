"""The routed experts of a layer, computed from INT4 group-32 weights as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from moonlet import _kernels
from moonlet.kernels.int8_groups import GROUP_SIZE
from moonlet.kernels.runtime import Runtime

INT4_ZERO = 8

Activations = Literal["int8", "bf16"]


class Int4Experts:
    """One layer's routed experts in the published format; holds the tensors it is given and copies nothing.

    D hidden_size, F moe_intermediate_size, both multiples of 32; one entry an expert in every list:
    gate_packed, up_packed: [F, D/8] int32, eight consecutive inputs each from the lowest bits, code + 8 in 4 bits.
    gate_scales, up_scales: [F, D/32] bfloat16.  down_packed: [D, F/8] int32.  down_scales: [D, F/32] bfloat16.
    Tensors may be memory-mapped and need no alignment.
    Raises ShapeError, naming the expert and the tensor.
    """

    __slots__ = ("native",)

    def __init__(
        self,
        gate_packed: Sequence[Tensor],
        gate_scales: Sequence[Tensor],
        up_packed: Sequence[Tensor],
        up_scales: Sequence[Tensor],
        down_packed: Sequence[Tensor],
        down_scales: Sequence[Tensor],
    ) -> None:
        self.native = _kernels.Int4Experts(
            list(gate_packed), list(gate_scales), list(up_packed), list(up_scales), list(down_packed), list(down_scales)
        )

    @property
    def num_experts(self) -> int:
        return self.native.num_experts

    @property
    def hidden_size(self) -> int:
        return self.native.hidden_size

    @property
    def moe_intermediate_size(self) -> int:
        return self.native.intermediate_size


def experts_forward(
    rt: Runtime,
    layer: Int4Experts,
    x: Tensor,
    topk_ids: Tensor,
    topk_weights: Tensor,
    activations: Activations = "int8",
) -> Tensor:
    """Sum over each token's experts e of weight_e * down_e(silu(gate_e x) * (up_e x)), added in ascending order of e.

    x: [T, D] float32.  topk_ids: [T, k] int32.  topk_weights: [T, k] float32.
    activations: "int8" quantises x and the intermediate values per token and group of 32; "bf16" rounds them to
    bfloat16, slower and closer to the published arithmetic.
    Returns [T, D] float32; a token's row has the same bits for any T, number of threads and instruction set.
    Raises ShapeError, also for an id outside [0, num_experts), and OptionError for unknown activations.
    """
    out = torch.empty((x.shape[0], layer.hidden_size), dtype=torch.float32)
    _kernels.experts_forward(rt.native, layer.native, x, topk_ids, topk_weights, activations, out)
    return out


def dequantize_int4(packed: Tensor, scales: Tensor) -> Tensor:
    """The float32 weight [N, K] that packed [N, K/8] int32 and scales [N, K/32] bfloat16 stand for."""
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    values = ((packed.unsqueeze(-1) >> shifts) & 15).flatten(1).float() - INT4_ZERO
    return (values.reshape(packed.shape[0], -1, GROUP_SIZE) * scales.float().unsqueeze(-1)).flatten(1)


def reference_experts_forward(
    gate: Sequence[Tensor],
    up: Sequence[Tensor],
    down: Sequence[Tensor],
    x: Tensor,
    topk_ids: Tensor,
    topk_weights: Tensor,
) -> Tensor:
    """`experts_forward` in float32 on dequantised weights: gate, up [F, D] and down [D, F] float32 for each expert."""
    out = torch.zeros_like(x)
    for expert_idx in range(len(gate)):
        token_idx, slot_idx = torch.nonzero(topk_ids == expert_idx, as_tuple=True)
        if token_idx.numel() == 0:
            continue
        rows = x[token_idx]
        y = (F.silu(rows @ gate[expert_idx].T) * (rows @ up[expert_idx].T)) @ down[expert_idx].T
        out.index_add_(0, token_idx, y * topk_weights[token_idx, slot_idx].unsqueeze(-1))
    return out
