"""Pictures to normalised patches, in the order the tower reads them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from moonlet.media.config import MediaProcessorConfig
from moonlet.media.geometry import Geometry
from moonlet.model.vision import VisionItem

Pixels = npt.NDArray[np.uint8]


def resize(picture: Image.Image, geometry: Geometry) -> Pixels:
    """An RGB picture at its published size: [height, width, 3], not yet padded."""
    size = (geometry.width, geometry.height)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture)


def to_item(frames: list[Pixels], geometry: Geometry, config: MediaProcessorConfig) -> VisionItem:
    """One image, or the frames of one chunk, each [height, width, 3] as `resize` gives them."""
    grid = geometry.grid(config, len(frames))
    patch = config.patch_size
    # Padding is zero before normalisation, so it is black and not grey, as published.
    padded = np.zeros((grid.t, 3, geometry.padded_height, geometry.padded_width), dtype=np.uint8)
    for frame, target in zip(frames, padded, strict=True):
        target[:, : geometry.height, : geometry.width] = frame.transpose(2, 0, 1)
    # Patches are cut out of bytes, a quarter of the floats, and of planes, whose rows of a patch are one piece.
    patches = padded.reshape(grid.t, 3, grid.h, patch, grid.w, patch).transpose(0, 2, 4, 1, 3, 5)
    bytes_ = np.ascontiguousarray(patches).reshape(grid.num_patches, 3, patch, patch)
    return VisionItem(_normalised(bytes_, config), grid)


def _normalised(patches: Pixels, config: MediaProcessorConfig) -> Tensor:
    """(value / 255 - mean) / deviation in float32, channel by channel of [N, 3, patch, patch]."""
    mean, deviation = (
        np.array(channels, dtype=np.float32).reshape(3, 1, 1) for channels in (config.image_mean, config.image_std)
    )
    # numpy and not torch: on a busy machine torch's threads wait for each other in each of the four passes.
    values = patches.astype(np.float32)
    values /= np.float32(255)
    values -= mean
    values /= deviation
    return torch.from_numpy(values)
