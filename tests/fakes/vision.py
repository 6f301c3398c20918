"""A vision tower and media without pixels to speak of: what the engine does with them is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from moonlet.media.prepared import MediaPiece
from moonlet.model.vision import Grid, VisionItem


@dataclass
class FakeEncoder:
    """Features that depend on every pixel and on the place: whole numbers that float32 holds exactly."""

    hidden_size: int = 1
    num_encoded: int = 0

    def encode(self, items: Sequence[VisionItem]) -> list[Tensor]:
        self.num_encoded += len(items)
        return [self._features(item) for item in items]

    def _features(self, item: VisionItem) -> Tensor:
        digest = hashlib.sha256(item.pixels.numpy().tobytes()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        shape = (item.grid.num_tokens, self.hidden_size)
        return torch.randint(1 << 10, 1 << 20, shape, generator=generator).float()


@dataclass
class TableEncoder:
    """Gives out features made elsewhere, one after the other."""

    features: list[Tensor]

    def encode(self, items: Sequence[VisionItem]) -> list[Tensor]:
        return [self.features.pop(0) for _ in items]


@dataclass
class FakeMedia:
    """A picture, or a video of several pieces, whose pixels are made of `seed`. Remembers what was read of it."""

    seed: int
    grids: tuple[Grid, ...] = (Grid(1, 4, 6),)
    timestamps: tuple[str, ...] = ()
    reads: list[int] = field(default_factory=list)

    @property
    def pieces(self) -> tuple[MediaPiece, ...]:
        return tuple(
            MediaPiece(grid, hashlib.sha256(f"{self.seed} {index}".encode()).hexdigest())
            for index, grid in enumerate(self.grids)
        )

    def items(self, start: int = 0) -> Iterator[VisionItem]:
        for index in range(start, len(self.grids)):
            self.reads.append(index)
            generator = torch.Generator().manual_seed(self.seed * 1000 + index)
            pixels = torch.rand(self.grids[index].num_patches, 3, 2, 2, generator=generator)
            yield VisionItem(pixels, self.grids[index])
