"""What the rest of the program sees of an image or a video: pieces with their size and hash, and pixels on demand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from moonlet.model.vision import Grid, VisionItem


@dataclass(frozen=True, slots=True)
class MediaPiece:
    """What one `<|media_pad|>` of the rendered prompt stands for: an image, or up to four frames of a video.

    content_hash: hexadecimal SHA-256; equal hashes mean equal pixels on an equal grid.
    """

    grid: Grid
    content_hash: str

    @property
    def num_tokens(self) -> int:
        """Placeholders the piece takes in the prompt."""
        return self.grid.num_tokens


class PreparedMedia(Protocol):
    """An image or a video that has been checked and measured."""

    @property
    def pieces(self) -> tuple[MediaPiece, ...]:
        """One for an image, one a chunk of frames for a video, in the order of the prompt."""
        ...

    def items(self, start: int = 0) -> Iterator[VisionItem]:
        """The pixels of the pieces from `start` on, one at a time. Raises MediaError if they cannot be decoded."""
        ...


def counted(number: int, noun: str) -> str:
    """A number of things for people."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
