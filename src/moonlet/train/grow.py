"""More routed experts for a model that is already trained, without changing at first what it says."""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet.train.layout import expert_prefixes
from moonlet.train.shape import NanoShape

# Below every expert in use: the router's scores lie between 0 and 1.
LATE = -1.0
# Relative to the spread of what was copied: enough for a copy to go its own way.
NOISE = 0.02


def double_experts(weights: dict[str, Tensor], shape: NanoShape, seed: int) -> dict[str, Tensor]:
    """A `NanoModel`'s weights with twice the routed experts, each new one a slightly different copy of an old one.

    The router's correction bias keeps the copies out of every choice. Balancing raises it while they are unused, so
    they come in one after the other, within 1 / `balance_rate` steps.
    """
    generator = torch.Generator().manual_seed(seed)
    grown = dict(weights)

    def doubled(name: str) -> None:
        old = weights[name]
        noise = torch.randn(old.shape, generator=generator, dtype=old.dtype) * old.std() * NOISE
        grown[name] = torch.cat((old, old + noise))

    for name, _ in expert_prefixes(shape):
        doubled(name)
    for layer_idx in range(shape.first_k_dense_replace, shape.num_hidden_layers):
        gate = f"model.layers.{layer_idx}.mlp.gate."
        doubled(gate + "weight")
        bias = weights[gate + "e_score_correction_bias"]
        grown[gate + "e_score_correction_bias"] = torch.cat((bias, bias + LATE))
    return grown
