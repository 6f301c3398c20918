"""Random weights that behave: for benchmarks and tests, where values do not matter but sizes and magnitudes do."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

from moonlet.checkpoint.layout import TensorSpec
from moonlet.checkpoint.write import TensorSource

_CODE_DEVIATION = math.sqrt((16**2 - 1) / 12)
"""Standard deviation of a uniformly random 4-bit code."""


def random_weights(seed: int) -> TensorSource:
    """A source of tensors for `write_checkpoint`; each depends on `seed` and its own name only.

    Matrices have variance 1/inputs, so that every layer passes on values of the size it received; norms are near
    one, the router's biases small. Logits of such a model are finite and its router spreads over all experts.
    """

    def tensor(name: str, spec: TensorSpec) -> Tensor:
        digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        return _draw(name, spec, generator)

    return tensor


def _draw(name: str, spec: TensorSpec, generator: torch.Generator) -> Tensor:
    if spec.contents is not None:
        return torch.tensor(spec.contents, dtype=torch.int32)
    if spec.dtype == "I32":
        # All 16 codes with equal chance: the words are random bits.
        words = torch.empty(spec.shape, dtype=torch.int64).random_(0, 1 << 32, generator=generator)
        return words.to(torch.int32)
    if name.endswith(".weight_scale"):
        inputs = spec.shape[-1] * 32
        spread = torch.rand(spec.shape, generator=generator) + 0.5
        return (spread / (_CODE_DEVIATION * math.sqrt(inputs))).to(torch.bfloat16)
    values = torch.randn(spec.shape, generator=generator)
    if name.endswith("e_score_correction_bias"):
        return values * 0.01
    if "norm" in name and name.endswith(".weight"):
        values = 1.0 + 0.05 * values
    elif len(spec.shape) == 1:
        values = 0.02 * values
    elif not name.endswith("embed_tokens.weight"):
        values /= math.sqrt(math.prod(spec.shape[1:]))
    return values.to(torch.bfloat16)
