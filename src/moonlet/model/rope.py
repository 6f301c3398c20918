"""Rotary positions with YaRN, as the checkpoint was trained.

YaRN keeps the fast-turning pairs as they are, slows the slow-turning ones by `factor`, and blends
between; the attention logits are sharpened by `mscale` squared to make up for the longer context.
Angles are formed in float64: at position 262,143 a float32 product would already be 0.016 rad off.

Source: YaRN, arXiv 2309.00071, in the form of the published DeepSeek-V3 modelling code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from moonlet.config import RopeScaling, TextConfig


def yarn_mscale(factor: float, mscale: float) -> float:
    """The attention temperature of YaRN: 0.1 * mscale * ln(factor) + 1, and 1 where nothing is stretched."""
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1.0 else 1.0


def softmax_scale(config: TextConfig) -> float:
    """The factor on attention scores: qk_head_dim^-0.5, times mscale_all_dim's temperature squared."""
    scale = 1.0 / math.sqrt(config.qk_head_dim)
    if config.rope_scaling is None:
        return scale
    return scale * yarn_mscale(config.rope_scaling.factor, config.rope_scaling.mscale_all_dim) ** 2


def inverse_frequencies(config: TextConfig) -> Tensor:
    """Radians per position of each rotated pair: [qk_rope_head_dim / 2] float64."""
    dim = config.qk_rope_head_dim
    pair = torch.arange(0, dim, 2, dtype=torch.float64) / dim
    unscaled = config.rope_theta**-pair
    scaling = config.rope_scaling
    if scaling is None:
        return unscaled
    low, high = _blend_range(scaling, dim, config.rope_theta)
    ramp = ((torch.arange(dim // 2, dtype=torch.float64) - low) / (high - low)).clamp(0.0, 1.0)
    return unscaled * (1.0 - ramp) + unscaled / scaling.factor * ramp


def _blend_range(scaling: RopeScaling, dim: int, theta: float) -> tuple[float, float]:
    """The pairs between which YaRN blends: those that turn beta_fast and beta_slow times in the original context."""

    def pair_turning(times: float) -> float:
        return dim * math.log(scaling.original_max_position_embeddings / (times * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(pair_turning(scaling.beta_fast)), 0)
    high = min(math.ceil(pair_turning(scaling.beta_slow)), dim - 1)
    # An empty range would divide by zero; the published code widens it by this much.
    return float(low), float(high) if high != low else high + 0.001


@dataclass(frozen=True, slots=True)
class Rope:
    """What turns positions into the cosines and sines of one model.

    inv_freq: [qk_rope_head_dim / 2] float64.  amplitude multiplies both cosine and sine: the ratio of the two
    mscale values, 1.0 for every published Kimi checkpoint.
    """

    inv_freq: Tensor
    amplitude: float

    @classmethod
    def from_config(cls, config: TextConfig) -> Rope:
        scaling = config.rope_scaling
        amplitude = (
            1.0
            if scaling is None
            else yarn_mscale(scaling.factor, scaling.mscale) / yarn_mscale(scaling.factor, scaling.mscale_all_dim)
        )
        return cls(inverse_frequencies(config), amplitude)

    def cos_sin(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of `positions` [T] int64: two tensors [T, qk_rope_head_dim / 2] float32."""
        angles = positions.to("cpu", torch.float64)[:, None] * self.inv_freq
        return (
            (angles.cos() * self.amplitude).to(torch.float32),
            (angles.sin() * self.amplitude).to(torch.float32),
        )
