"""The weights of the tower and its projector as named fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from moonlet.config import VisionConfig


@dataclass(frozen=True, slots=True)
class Affine:
    """weight and bias of a linear layer ([N, K] and [N]) or of a LayerNorm (both [D]), in any float type."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class BlockWeights:
    """One encoder block. wqkv gives queries, keys and values of all heads, in this order."""

    norm0: Affine
    wqkv: Affine
    wo: Affine
    norm1: Affine
    fc0: Affine
    fc1: Affine


@dataclass(frozen=True, slots=True)
class ProjectorWeights:
    """LayerNorm over each patch, then two linears over the four patches of a token."""

    pre_norm: Affine
    proj_0: Affine
    proj_2: Affine


@dataclass(frozen=True, slots=True)
class VisionWeights:
    """patch_embed: [vt_hidden_size, 3 * patch_size ** 2].  pos_emb: [height, width, vt_hidden_size]."""

    patch_embed: Affine
    pos_emb: Tensor
    blocks: tuple[BlockWeights, ...]
    final_layernorm: Affine
    projector: ProjectorWeights


def bind_vision_weights(config: VisionConfig, tensor: Callable[[str], Tensor]) -> VisionWeights:
    """Take every tensor of the tower and the projector from `tensor`, by its published name."""

    def affine(at: str) -> Affine:
        return Affine(tensor(f"{at}.weight"), tensor(f"{at}.bias"))

    def block(block_idx: int) -> BlockWeights:
        at = f"vision_tower.encoder.blocks.{block_idx}"
        return BlockWeights(
            norm0=affine(f"{at}.norm0"),
            wqkv=affine(f"{at}.wqkv"),
            wo=affine(f"{at}.wo"),
            norm1=affine(f"{at}.norm1"),
            fc0=affine(f"{at}.mlp.fc0"),
            fc1=affine(f"{at}.mlp.fc1"),
        )

    convolution = affine("vision_tower.patch_embed.proj")
    return VisionWeights(
        # The convolution's stride is its size, so over patches it is a linear layer.
        patch_embed=Affine(convolution.weight.flatten(1), convolution.bias),
        pos_emb=tensor("vision_tower.patch_embed.pos_emb.weight"),
        blocks=tuple(block(i) for i in range(config.vt_num_hidden_layers)),
        final_layernorm=affine("vision_tower.encoder.final_layernorm"),
        projector=ProjectorWeights(
            pre_norm=affine("mm_projector.pre_norm"),
            proj_0=affine("mm_projector.proj.0"),
            proj_2=affine("mm_projector.proj.2"),
        ),
    )
