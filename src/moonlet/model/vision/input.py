"""What the vision tower is given: patches of one picture, or of a few frames, and how they lie."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moonlet.errors import ShapeError

MAX_SIDE_PATCHES = 512
"""Patches along a side: the published rotary table ends there, and pre-processing never gives more."""
MAX_FRAMES = 4
"""Frames of one chunk: the published time embedding has as many rows."""
MAX_PATCHES = 16384
"""Patches of the largest picture, and of the largest chunk of four frames, that pre-processing gives."""
MERGE = 2
"""Patches along each side of the square that becomes one token of text."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Patches of an item: t frames (1 for a picture) of h rows of w patches. h and w are even.

    Construction raises ShapeError for a grid the tower cannot take.
    """

    t: int
    h: int
    w: int

    def __post_init__(self) -> None:
        """Refuse impossible sides, so that nothing after this has to look."""
        if not 1 <= self.t <= MAX_FRAMES:
            raise ShapeError(f"grid {self.t} x {self.h} x {self.w}: expected 1 to {MAX_FRAMES} frames")
        if not all(MERGE <= side <= MAX_SIDE_PATCHES and side % MERGE == 0 for side in (self.h, self.w)):
            raise ShapeError(
                f"grid {self.t} x {self.h} x {self.w}: expected even sides from {MERGE} to {MAX_SIDE_PATCHES} patches"
            )

    @property
    def num_patches(self) -> int:
        """Patches over all frames: the tokens of the tower itself."""
        return self.t * self.h * self.w

    @property
    def num_tokens(self) -> int:
        """Tokens of text the item takes: one for 2 x 2 patches, whatever the number of frames."""
        return (self.h // MERGE) * (self.w // MERGE)


@dataclass(frozen=True, slots=True)
class VisionItem:
    """One picture or one chunk of video, ready for the tower.

    pixels: [t * h * w, 3, patch_size, patch_size] float32, normalised with mean 0.5 and deviation 0.5; frame by
    frame, in each frame row by row.
    Construction raises ShapeError where pixels and grid disagree.
    """

    pixels: Tensor
    grid: Grid

    def __post_init__(self) -> None:
        """Hold the pixels against the grid."""
        shape, side = tuple(self.pixels.shape), self.pixels.shape[-1]
        if shape != (self.grid.num_patches, 3, side, side) or self.pixels.dtype != torch.float32:
            expected = f"float32 [{self.grid.num_patches}, 3, patch_size, patch_size]"
            raise ShapeError(f"pixels: {self.pixels.dtype} {list(shape)}, expected {expected}")
