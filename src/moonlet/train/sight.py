"""What a batch shows: its images and video chunks, gathered for one pass of the tower."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moonlet.train.pictures import PATCH_SIDE, num_tokens, to_patches
from moonlet.train.tower import Grid3, Items


@dataclass(frozen=True, slots=True)
class PlacedChunk:
    """Frames [t, H, W, 3] of one image or video chunk; its features go to row `row` from position `at` on."""

    row: int
    at: int
    frames: NDArray[np.uint8]

    @property
    def grid(self) -> Grid3:
        frames, height, width, _ = self.frames.shape
        return frames, height // PATCH_SIDE, width // PATCH_SIDE


@dataclass(frozen=True, slots=True)
class Sight:
    """Tower input, and where its features go.

    patches: [N, 588] float32, item by item, items of one grid together as `groups` tells.
    rows, positions: [tokens] int64, the place of each feature.
    """

    patches: Tensor
    groups: tuple[Items, ...]
    rows: Tensor
    positions: Tensor

    def to(self, device: torch.device) -> Sight:
        return Sight(self.patches.to(device), self.groups, self.rows.to(device), self.positions.to(device))


def gather(chunks: Sequence[PlacedChunk]) -> Sight:
    """Lay out at least one chunk."""
    by_grid: dict[Grid3, list[PlacedChunk]] = defaultdict(list)
    for chunk in chunks:
        by_grid[chunk.grid].append(chunk)
    ordered = [chunk for group in by_grid.values() for chunk in group]
    counts = torch.tensor([num_tokens(chunk.frames) for chunk in ordered])
    rows = torch.tensor([chunk.row for chunk in ordered]).repeat_interleave(counts)
    positions = torch.cat([torch.arange(chunk.at, chunk.at + num_tokens(chunk.frames)) for chunk in ordered])
    patches = torch.cat([to_patches(chunk.frames) for chunk in ordered])
    return Sight(patches, tuple(Items(grid, len(group)) for grid, group in by_grid.items()), rows, positions)
