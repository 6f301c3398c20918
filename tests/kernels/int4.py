"""Random INT4 experts for tests, in the published layout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moonlet.kernels import Int4Experts, dequantize_int4


@dataclass(frozen=True, slots=True)
class RandomExperts:
    """Packed weights and scales of `gate`, `up`, `down` for every expert, and the layer made from them."""

    packed: tuple[list[Tensor], list[Tensor], list[Tensor]]
    scales: tuple[list[Tensor], list[Tensor], list[Tensor]]
    layer: Int4Experts

    def dequantized(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        gate, up, down = (
            [dequantize_int4(p, s) for p, s in zip(packed, scales, strict=True)]
            for packed, scales in zip(self.packed, self.scales, strict=True)
        )
        return gate, up, down


def random_packed(num_outputs: int, num_inputs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Packed [N, K/8] int32 of any codes and scales [N, K/32] bfloat16 that give outputs of about the inputs' size."""
    packed = torch.randint(-(2**31), 2**31, (num_outputs, num_inputs // 8), generator=generator, dtype=torch.int64)
    scales = (torch.rand(num_outputs, num_inputs // 32, generator=generator) + 0.5) / (4.6 * num_inputs**0.5)
    return packed.to(torch.int32), scales.to(torch.bfloat16)


def random_experts(num_experts: int, hidden_size: int, intermediate_size: int, seed: int = 0) -> RandomExperts:
    generator = torch.Generator().manual_seed(seed)
    packed: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    scales: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    shapes = ((intermediate_size, hidden_size), (intermediate_size, hidden_size), (hidden_size, intermediate_size))
    for _ in range(num_experts):
        for i, (num_outputs, num_inputs) in enumerate(shapes):
            p, s = random_packed(num_outputs, num_inputs, generator)
            packed[i].append(p)
            scales[i].append(s)
    layer = Int4Experts(packed[0], scales[0], packed[1], scales[1], packed[2], scales[2])
    return RandomExperts(packed, scales, layer)


def random_routing(num_tokens: int, num_experts: int, top_k: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """topk_ids [T, k] int32 ascending without repeats, topk_weights [T, k] float32 summing to one."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.rand(num_tokens, num_experts, generator=generator).topk(top_k, dim=-1).indices.sort(dim=-1).values
    weights = torch.rand(num_tokens, top_k, generator=generator) + 0.1
    return ids.to(torch.int32), weights / weights.sum(-1, keepdim=True)
