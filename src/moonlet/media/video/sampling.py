"""The published rule for which frames of a video are seen, and what the prompt says of their time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def num_sampled(num_frames: int, fps: float, sample_fps: float) -> int:
    """How many frames are taken at `sample_fps` a second, at least one."""
    return max(1, round(num_frames * min(sample_fps, fps) / fps))


def sample(num_frames: int, count: int) -> list[int]:
    """`count` frames of `num_frames`, evenly spread, first and last among them."""
    return [int(index) for index in np.linspace(0, num_frames - 1, count).round()]


def chunks_of(frame_indices: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Frames that the tower sees together; the last chunk may be shorter."""
    return [tuple(frame_indices[start : start + size]) for start in range(0, len(frame_indices), size)]


def timestamp(seconds: float) -> str:
    """HH:MM:SS.fff, of a day: milliseconds are cut off and hours begin again after 23, as published."""
    whole = int(seconds)
    return f"{whole // 3600 % 24:02}:{whole // 60 % 60:02}:{whole % 60:02}.{int((seconds - whole) * 1000):03}"
