"""What a drawn picture is: frames made on demand, and the truth about each of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PATCH_SIDE = 14
TOKEN_SIDE = 28  # 2 x 2 patches are one token
CHUNK_FRAMES = 4  # frames that are pooled into one chunk of a video

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (215, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 70, 220),
    "yellow": (235, 215, 50),
    "orange": (240, 135, 25),
    "purple": (140, 50, 170),
}
COLOUR_NAMES = tuple(COLOURS)
SHAPE_NAMES = ("circle", "square", "triangle", "diamond")
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# What the warm-up asks about a token, and how many answers there are; a question not asked of a token is not scored.
# Where nothing is there, the answer is the last one.
HEADS: dict[str, int] = {
    "character 0": len(CHARACTERS) + 1,
    "character 1": len(CHARACTERS) + 1,
    "character 2": len(CHARACTERS) + 1,
    "place": 13,  # how many things come before this token's first
    "colour": len(COLOURS) + 1,
    "shape": len(SHAPE_NAMES) + 1,
    "height": 12,
    "scale": 3,
    "motion": 4,
    "frame 0": len(COLOURS) + 1,
    "frame 1": len(COLOURS) + 1,
    "frame 2": len(COLOURS) + 1,
    "frame 3": len(COLOURS) + 1,
    "left": 9,
    "top": 9,
    "wide": 9,
    "high": 9,
}


@dataclass(frozen=True, slots=True)
class Label:
    """The right answer to one of HEADS about one token; tokens count through all chunks."""

    head: str
    token: int
    answer: int


class Picture(Protocol):
    """An image, or a clip of a whole number of chunks; a value that draws the same pixels every time."""

    @property
    def frames_per_second(self) -> float | None:
        """None for an image; at most 2 for a clip, so that every frame is sampled."""
        ...

    def draw(self) -> NDArray[np.uint8]:
        """The pixels [frames, height, width, 3]; height and width are multiples of 28, so nothing is resized."""
        ...

    def labels(self) -> list[Label]:
        """What there is to see."""
        ...


def num_tokens(frames: NDArray[np.uint8]) -> int:
    """Tokens that the frames of one chunk become; the number of frames does not matter."""
    height, width = int(frames.shape[1]), int(frames.shape[2])
    return (height // TOKEN_SIDE) * (width // TOKEN_SIDE)


def to_patches(frames: NDArray[np.uint8]) -> Tensor:
    """Frames [t, H, W, 3] as the tower takes them: [t*h*w, 588] float32, frame by frame, normalised as published."""
    count, height, width, _ = frames.shape
    pixels = torch.from_numpy(frames).float().div_(255.0).sub_(0.5).div_(0.5)
    grid = pixels.view(count, height // PATCH_SIDE, PATCH_SIDE, width // PATCH_SIDE, PATCH_SIDE, 3)
    return grid.permute(0, 1, 3, 5, 2, 4).reshape(-1, 3 * PATCH_SIDE * PATCH_SIDE)
