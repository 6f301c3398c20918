"""Pictures to normalised patches, in the order the tower reads them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

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
    padded = np.zeros((grid.t, geometry.padded_height, geometry.padded_width, 3), dtype=np.uint8)
    for frame, target in zip(frames, padded, strict=True):
        target[: geometry.height, : geometry.width] = frame
    # Patches are cut out of bytes: moving them costs a quarter of moving floats.
    patches = padded.reshape(grid.t, grid.h, patch, grid.w, patch, 3).transpose(0, 1, 3, 5, 2, 4)
    bytes_ = np.ascontiguousarray(patches).reshape(grid.num_patches, 3, patch, patch)
    return VisionItem(torch.from_numpy(_normalised(bytes_, config)), grid)


def _normalised(patches: Pixels, config: MediaProcessorConfig) -> npt.NDArray[np.float32]:
    """(value / 255 - mean) / deviation in float32, channel by channel of [N, 3, patch, patch]."""
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    tables = [
        (values - np.float32(mean)) / np.float32(deviation)
        for mean, deviation in zip(config.image_mean, config.image_std, strict=True)
    ]
    if tables[0].tobytes() == tables[1].tobytes() == tables[2].tobytes():
        return tables[0][patches]
    return np.stack([table[patches[:, channel]] for channel, table in enumerate(tables)], axis=1)
