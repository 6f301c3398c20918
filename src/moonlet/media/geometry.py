"""The published resize rule: from the size of a picture to its patches and tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass

from moonlet.media.config import MediaProcessorConfig
from moonlet.model.vision import Grid


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes in pixels: what a picture is resized to, and what that is padded to on the right and below."""

    width: int
    height: int
    padded_width: int
    padded_height: int

    def grid(self, config: MediaProcessorConfig, num_frames: int = 1) -> Grid:
        """The patches of `num_frames` pictures of this size."""
        return Grid(num_frames, self.padded_height // config.patch_size, self.padded_width // config.patch_size)


def fit(width: int, height: int, patch_limit: int, config: MediaProcessorConfig) -> Geometry:
    """The size at which a picture of `width` x `height` pixels is shown to the tower.

    Never larger than it is; at most about `patch_limit` patches in all (padding may add a few), and
    `patch_limit_on_one_side` along a side. Source: the published image processor of K2.5.
    """
    patch = config.patch_size
    longest = config.patch_limit_on_one_side * patch
    area = max(1, width // patch) * max(1, height // patch)
    scale = min(1.0, math.sqrt(patch_limit / area), longest / width, longest / height)
    resized = max(1, int(width * scale)), max(1, int(height * scale))
    padded_width, padded_height = (-(-side // config.factor) * config.factor for side in resized)
    return Geometry(*resized, padded_width, padded_height)
