"""How the tower's arithmetic is carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from moonlet.model.vision.weights import Affine


class VisionOps(Protocol):
    """Letters: n patches of one item, H heads, C width of a head."""

    def linear(self, x: Tensor, layer: Affine) -> Tensor:
        """x @ weight^T + bias: [n, K] to [n, N], in the type this multiplies in."""
        ...

    def rows(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """function(*inputs), for a function that makes each row of its result from the same row of its inputs."""
        ...

    def attend(self, qkv: Tensor) -> Tensor:
        """Softmax attention of every patch over all of the item. qkv: [n, 3, H, C]. Returns [n, H * C]."""
        ...


@dataclass(frozen=True, slots=True)
class TorchVisionOps:
    """Plain torch on the device of the weights: in float32 the reference, in bfloat16 the way of a GPU.

    dtype: what linear layers and attention multiply in.

    Attention is torch's fused one, which keeps a block of scores and never the matrix. All of it can be
    differentiated, so training uses the same functions.
    """

    dtype: torch.dtype = torch.float32

    def linear(self, x: Tensor, layer: Affine) -> Tensor:
        return torch.nn.functional.linear(x.to(self.dtype), layer.weight.to(self.dtype), layer.bias.to(self.dtype))

    def rows(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        return function(*inputs)

    def attend(self, qkv: Tensor) -> Tensor:
        q, k, v = qkv.permute(1, 2, 0, 3).unbind(0)
        heads = torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None])
        return heads.squeeze(0).transpose(0, 1).flatten(1)
