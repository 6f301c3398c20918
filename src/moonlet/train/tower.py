"""The trainable tower: MoonViT-3D and its projector in plain torch, under the published parameter names.

Items of several grids go through together: what acts on one patch alone sees all patches of all items as rows, and
only attention takes the grids apart.
Letters in shapes: B items of one grid, P = t*h*w patches of an item, N patches of all items, C vt_hidden_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROPE_THETA = 10000.0
Grid3 = tuple[int, int, int]  # frames, rows and columns of patches


@dataclass(frozen=True, slots=True)
class Items:
    """`count` items of one grid."""

    grid: Grid3
    count: int

    @property
    def num_rows(self) -> int:
        return self.count * self.grid[0] * self.grid[1] * self.grid[2]


@dataclass(frozen=True, slots=True)
class TowerShape:
    """The tower's dimensions, under config.json's own names; the merge is 2 x 2, the patch 14 x 14, as published."""

    vt_hidden_size: int = 128
    vt_num_hidden_layers: int = 4
    vt_num_attention_heads: int = 4
    vt_intermediate_size: int = 512
    init_pos_emb_height: int = 16
    init_pos_emb_width: int = 16
    init_pos_emb_time: int = 4
    text_hidden_size: int = 256
    projector_ln_eps: float = 1e-5


class PositionGrid(nn.Module):
    """Learnt positions, bicubically resized to the picture's grid, and a fixed sine and cosine of the frame."""

    time: Tensor

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        width = shape.vt_hidden_size
        self.weight = nn.Parameter(torch.empty(shape.init_pos_emb_height, shape.init_pos_emb_width, width))
        frequencies = 10000.0 ** -(torch.arange(width // 2, dtype=torch.float64) / (width / 2))
        angles = torch.outer(torch.arange(shape.init_pos_emb_time, dtype=torch.float64), frequencies)
        self.register_buffer("time", torch.cat((angles.sin(), angles.cos()), dim=1).float(), persistent=False)

    def forward(self, grid: Grid3) -> Tensor:
        """What is added to the patches of one item: [P, C]. A single frame gets no time."""
        frames, height, width = grid
        weight: Tensor = self.weight
        if (height, width) != weight.shape[:2]:
            planes = weight.permute(2, 0, 1).unsqueeze(0)
            weight = F.interpolate(planes, size=(height, width), mode="bicubic").squeeze(0).permute(1, 2, 0)
        space = weight.flatten(0, 1)
        if frames == 1:
            return space
        return (space.unsqueeze(0) + self.time[:frames].unsqueeze(1)).flatten(0, 1)


class PatchEmbed(nn.Module):
    """One vector a patch: a convolution whose stride is its kernel, that is a matrix product."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, shape.vt_hidden_size, 14, stride=14)
        self.pos_emb = PositionGrid(shape)

    def forward(self, patches: Tensor, groups: Sequence[Items]) -> Tensor:
        embedded = F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)
        return embedded + torch.cat([self.pos_emb(items.grid).repeat(items.count, 1) for items in groups])


def rotary_angles(grid: Grid3, head_dim: int) -> Tensor:
    """[P, head_dim / 2] float32: pairs turn by column and row in turn, the same in every frame."""
    frames, height, width = grid
    frequencies = ROPE_THETA ** -(torch.arange(0, head_dim, 4, dtype=torch.float32) / head_dim)
    rows = torch.arange(height, dtype=torch.float32).repeat_interleave(width)
    columns = torch.arange(width, dtype=torch.float32).repeat(height)
    angles = torch.stack((torch.outer(columns, frequencies), torch.outer(rows, frequencies)), dim=-1)
    return angles.flatten(1).repeat(frames, 1)


def rotate_pairs(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (2i, 2i+1) of the last dimension. x: [..., dim]; cos, sin: broadcastable to [..., dim / 2]."""
    even, odd = x.view(*x.shape[:-1], -1, 2).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class MLP(nn.Module):
    """Two matrices around GELU in its tanh form."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.fc0 = nn.Linear(shape.vt_hidden_size, shape.vt_intermediate_size)
        self.fc1 = nn.Linear(shape.vt_intermediate_size, shape.vt_hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc1(F.gelu(self.fc0(x), approximate="tanh"))
        return result


class Block(nn.Module):
    """Attention over every patch of the item, all frames together, then an MLP."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        width = shape.vt_hidden_size
        self.num_heads = shape.vt_num_attention_heads
        self.norm0 = nn.LayerNorm(width)
        self.norm1 = nn.LayerNorm(width)
        self.wqkv = nn.Linear(width, 3 * width)
        self.wo = nn.Linear(width, width)
        self.mlp = MLP(shape)

    def forward(self, x: Tensor, groups: Sequence[Items], cos: Tensor, sin: Tensor) -> Tensor:
        query, key, value = self.wqkv(self.norm0(x)).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        query = rotate_pairs(query * query.shape[-1] ** -0.5, cos, sin)
        sizes = [items.num_rows for items in groups]
        attended = [
            self._attend(items, *parts)
            for items, *parts in zip(
                groups, *(torch.split(part, sizes) for part in (query, rotate_pairs(key, cos, sin), value)), strict=True
            )
        ]
        x = x + self.wo(torch.cat(attended))
        result: Tensor = x + self.mlp(self.norm1(x))
        return result

    @staticmethod
    def _attend(items: Items, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[rows, heads, head_dim] each; every item attends within itself. Returns [rows, C]."""
        query, key, value = (
            part.view(items.count, -1, *part.shape[1:]).transpose(1, 2) for part in (query, key, value)
        )
        # Written out, as in the decoder: items are small, and the CPU's fused kernel is slow backward.
        weights = (query @ key.transpose(2, 3)).softmax(dim=-1)
        return (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2).flatten(0, 1)


class Encoder(nn.Module):
    """The blocks and the norm after them."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.vt_num_hidden_layers))
        self.final_layernorm = nn.LayerNorm(shape.vt_hidden_size)


class VisionTower(nn.Module):
    """Patches to one vector each."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(shape)
        self.encoder = Encoder(shape)
        self.head_dim = shape.vt_hidden_size // shape.vt_num_attention_heads

    def forward(self, patches: Tensor, groups: Sequence[Items]) -> Tensor:
        """patches: [N, 588] float32, item by item in the order of `groups`. Returns [N, C] float32."""
        x = self.patch_embed(patches, groups)
        angles = torch.cat([rotary_angles(items.grid, self.head_dim).repeat(items.count, 1) for items in groups])
        cos, sin = angles.cos().unsqueeze(1).to(x.device), angles.sin().unsqueeze(1).to(x.device)
        for block in self.encoder.blocks:
            x = block(x, groups, cos, sin)
        result: Tensor = self.encoder.final_layernorm(x)
        return result


class Projector(nn.Module):
    """Mean over the frames, 2 x 2 patches side by side, two matrices to the text's width (`sd2_tpool`, patchmerger)."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        merged = 4 * shape.vt_hidden_size
        self.pre_norm = nn.LayerNorm(shape.vt_hidden_size, eps=shape.projector_ln_eps)
        self.proj = nn.Sequential(nn.Linear(merged, merged), nn.GELU(), nn.Linear(merged, shape.text_hidden_size))

    def forward(self, x: Tensor, groups: Sequence[Items]) -> Tensor:
        """x: [N, C]. Returns the tokens [sum of B*(h/2)*(w/2), text_hidden_size], item by item."""
        merged = []
        for items, part in zip(groups, torch.split(x, [items.num_rows for items in groups]), strict=True):
            frames, height, width = items.grid
            pooled = part.view(items.count, frames, height // 2, 2, width // 2, 2, -1).mean(dim=1)
            merged.append(pooled.transpose(2, 3).flatten(3, 4).flatten(0, 2))
        result: Tensor = self.proj(self.pre_norm(torch.cat(merged)).flatten(1))
        return result


class Eyes(nn.Module):
    """Tower and projector: what a multimodal checkpoint has beside its text decoder."""

    def __init__(self, shape: TowerShape, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.vision_tower = VisionTower(shape)
        self.mm_projector = Projector(shape)
        self._initialise(generator)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator | None) -> None:
        """Fan-in scaled normal matrices, zero biases; what writes into the stream starts smaller."""
        into_stream = (2 * self.shape.vt_num_hidden_layers) ** -0.5
        for name, parameter in self.named_parameters():
            if name.endswith("pos_emb.weight"):
                parameter.normal_(0.0, 0.2, generator=generator)
            elif parameter.dim() >= 2:
                std = parameter.flatten(1).shape[1] ** -0.5
                parameter.normal_(
                    0.0, std * (into_stream if "wo." in name or "fc1." in name else 1.0), generator=generator
                )
            elif name.endswith("bias"):
                parameter.zero_()

    def forward(self, patches: Tensor, groups: Sequence[Items]) -> Tensor:
        """Features of the tokens [tokens, text_hidden_size] float32. patches: [N, 588] float32, in `groups`' order."""
        result: Tensor = self.mm_projector(self.vision_tower(patches, groups), groups)
        return result
