"""Drawing by numpy: backgrounds, smooth-edged shapes, noise. Fast enough to draw every picture anew."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from moonlet.train.pictures.base import COLOURS

Canvas = NDArray[np.float32]


def background(random: np.random.Generator, frames: int, height: int, width: int) -> Canvas:
    """A plain canvas [frames, height, width, 3]: mostly near white, sometimes near black."""
    level = random.uniform(225, 255) if random.random() < 0.75 else random.uniform(0, 40)
    return np.full((frames, height, width, 3), level, np.float32)


def shade(random: np.random.Generator, colour: str) -> NDArray[np.float32]:
    """The named colour, a little off."""
    return np.clip(np.array(COLOURS[colour]) + random.uniform(-15, 15, 3), 0, 255).astype(np.float32)


def finish(random: np.random.Generator, canvas: Canvas, most_noise: float = 12.0) -> NDArray[np.uint8]:
    """Noise of a random strength over everything, and 8 bits."""
    pool = _noise()
    start = int(random.integers(pool.size - canvas.size))
    noise = pool[start : start + canvas.size].reshape(canvas.shape) * np.float32(random.uniform(0, most_noise))
    return np.clip(canvas + noise + np.float32(0.5), 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _noise() -> Canvas:
    """Normal noise to cut pieces from: drawing it anew would take most of a picture's time."""
    return np.random.default_rng(0).standard_normal(1 << 21, np.float32)


@dataclass(frozen=True, slots=True)
class Thing:
    """A coloured shape by its centre and radius in pixels."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


def paint(frame: Canvas, thing: Thing, tint: NDArray[np.float32]) -> None:
    """Draw a thing on one frame [height, width, 3], in place; parts outside are cut off."""
    reach = thing.radius + 2
    top, left = max(int(thing.y - reach), 0), max(int(thing.x - reach), 0)
    window = frame[top : int(thing.y + reach) + 1, left : int(thing.x + reach) + 1]
    y = np.arange(top, top + window.shape[0], dtype=np.float32)[:, None] - np.float32(thing.y)
    x = np.arange(left, left + window.shape[1], dtype=np.float32)[None, :] - np.float32(thing.x)
    outside = np.clip(_distance(thing.shape, x, y, thing.radius) + 0.5, 0, 1)[:, :, None]
    window *= outside
    window += (1 - outside) * tint


def _distance(shape: str, x: Canvas, y: Canvas, size: float) -> Canvas:
    """Signed distance to the outline, negative inside."""
    radius = np.float32(size)
    if shape == "circle":
        return np.hypot(x, y) - radius
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.85 * radius
    if shape == "diamond":
        return (np.abs(x) + np.abs(y)) * np.float32(0.7071) - np.float32(0.75) * radius
    slanted: Canvas = np.abs(x) * np.float32(0.894) - (y + radius) * np.float32(0.447)  # a triangle on its base
    lower: Canvas = np.maximum(slanted, y - np.float32(0.75) * radius)
    return lower


def fill(frame: Canvas, left: int, top: int, width: int, height: int, tint: NDArray[np.float32]) -> None:
    """Draw a filled rectangle on one frame, in place."""
    frame[top : top + height, left : left + width] = tint
