"""MoonViT-3D: patches of one item to their final hidden states.

Letters: n patches, D vt_hidden_size, H heads, C = D / H.
The residual stream and norms are float32; products are in the type of `ops`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moonlet.config import VisionConfig
from moonlet.kernels.rope import rope_reference
from moonlet.model.vision.input import VisionItem
from moonlet.model.vision.ops import VisionOps
from moonlet.model.vision.position import patch_positions, rotations
from moonlet.model.vision.weights import Affine, BlockWeights, VisionWeights

LAYER_NORM_EPS = 1e-5
"""Of the tower's own norms: torch's default, which the published code does not change."""


def layer_norm(x: Tensor, norm: Affine, eps: float = LAYER_NORM_EPS) -> Tensor:
    """[n, D] to [n, D], float32."""
    return torch.nn.functional.layer_norm(x.float(), x.shape[-1:], norm.weight.float(), norm.bias.float(), eps)


def embed_patches(ops: VisionOps, weights: VisionWeights, item: VisionItem) -> Tensor:
    """The residual stream's beginning: [n, D] float32. In float32, since BF16 would round the pixels themselves."""
    weight, bias = weights.patch_embed.weight.float(), weights.patch_embed.bias.float()
    positions = patch_positions(weights.pos_emb, item.grid)

    def embed(patches: Tensor, places: Tensor) -> Tensor:
        return torch.nn.functional.linear(patches, weight, bias) + places

    return ops.rows(embed, item.pixels.to(weight.device).flatten(1), positions)


def encode_item(ops: VisionOps, config: VisionConfig, weights: VisionWeights, item: VisionItem) -> Tensor:
    """The tower's last hidden states, [n, D] float32; every patch sees all patches of its item."""
    hidden_states = embed_patches(ops, weights, item)
    cos, sin = rotations(config.vt_hidden_size // config.vt_num_attention_heads, item.grid)
    turns = cos.to(hidden_states.device), sin.to(hidden_states.device)
    for block in weights.blocks:
        hidden_states = run_block(ops, config.vt_num_attention_heads, block, hidden_states, turns)
    return ops.rows(lambda rows: layer_norm(rows, weights.final_layernorm), hidden_states)


def run_block(
    ops: VisionOps, num_heads: int, weights: BlockWeights, hidden_states: Tensor, turns: tuple[Tensor, Tensor]
) -> Tensor:
    """hidden_states: [n, D] float32.  turns: cosines and sines, [n, C / 2].  Returns [n, D] float32."""

    def project(rows: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        qkv = ops.linear(layer_norm(rows, weights.norm0), weights.wqkv)
        qkv = qkv.view(rows.shape[0], 3, num_heads, -1)
        turned = rope_reference(qkv[:, :2].flatten(1, 2).float(), cos, sin).to(qkv.dtype)
        return torch.cat((turned.view_as(qkv[:, :2]), qkv[:, 2:]), dim=1)

    def transform(rows: Tensor, heads: Tensor) -> Tensor:
        rows = rows + ops.linear(heads, weights.wo)
        inner = ops.linear(layer_norm(rows, weights.norm1), weights.fc0)
        inner = torch.nn.functional.gelu(inner, approximate="tanh")
        return rows + ops.linear(inner, weights.fc1)

    heads = ops.attend(ops.rows(project, hidden_states, *turns))
    return ops.rows(transform, hidden_states, heads)
