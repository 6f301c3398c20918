"""When the frames of a video are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from moonlet.errors import MediaError

_Frame = TypeVar("_Frame")
Times = npt.NDArray[np.float64]

# Matroska's clock, the coarsest in use.
_CLOCK_S = 0.001


@dataclass(frozen=True, slots=True)
class Timeline:
    """The clock of a video with `num_frames` frames.

    fps: frames a second; on average, where the rate varies.  start_s: time of the first frame in the file's own clock.
    is_regular: each frame is shown equally long.
    """

    num_frames: int
    fps: float
    start_s: float = 0.0
    is_regular: bool = True

    @property
    def duration_s(self) -> float:
        return self.num_frames / self.fps

    def targets(self, frame_indices: Sequence[int]) -> list[float]:
        """The moments, in the file's own clock, at which to look for frames of a constant rate.

        A little late, since clocks of containers are rounded. Where the rate varies, the frame on the screen at that
        moment is taken, so that timestamps stay true.
        """
        late_s = 0.5 / self.fps if self.is_regular else _CLOCK_S
        return [self.start_s + index / self.fps + late_s for index in frame_indices]


def timeline_of(name: str, times: Times, declared_fps: float | None) -> Timeline:
    """times: [num_frames] seconds, ascending; NaN throughout where the file has none.

    declared_fps: what the file says, if it does; it counts if the times agree within half a frame.
    Raises MediaError for no frames, and for frames without a known rate.
    """
    count = len(times)
    if count == 0:
        raise MediaError(f"{name}: a video without frames, expected at least one; it may be cut short")
    if np.isnan(times).any():
        if count > 1 and not declared_fps:
            raise MediaError(f"{name}: its frame rate is unknown; put it into a container: ffmpeg -r 30 -i IN out.mp4")
        return Timeline(count, declared_fps or 1.0)
    start, span = float(times[0]), float(times[-1] - times[0])
    if count == 1:
        # One frame lasts however long; nothing depends on its rate.
        return Timeline(1, declared_fps or 1.0, start)
    if span <= 0:
        raise MediaError(f"{name}: its {count} frames last 0 seconds, expected a video with times; encode it again")
    measured = (count - 1) / span
    # The declared rate is exact where the times are rounded, but some files declare any.
    fps = declared_fps if declared_fps and abs((count - 1) / declared_fps - span) < 0.5 / declared_fps else measured
    drift = np.abs(times - start - np.arange(count) / fps).max()
    return Timeline(count, fps, start, is_regular=bool(drift < 0.5 / fps))


def shown_at(frames: Iterable[tuple[float, _Frame]], targets: Sequence[float]) -> Iterator[_Frame]:
    """For each of the ascending `targets` the frame on the screen then: the last whose time is not later.

    frames: with their times, ascending; read one beyond the last target. Before the first frame that one is shown.
    """
    stream = iter(frames)
    coming = next(stream, None)
    current: _Frame | None = None
    for target in targets:
        while coming is not None and (current is None or coming[0] <= target):
            current = coming[1]
            coming = next(stream, None)
        if current is None:
            return
        yield current
