"""Pictures that move (GIF, WebP, PNG) as video: all their frames, each for as long as the file says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from moonlet.errors import MediaError
from moonlet.media.image import as_rgb, content_hash, opened
from moonlet.media.limits import MediaLimits
from moonlet.media.source import MediaSource
from moonlet.media.video.timeline import Timeline, shown_at, timeline_of

# What browsers do with a frame that says it lasts no time.
_DEFAULT_FRAME_S = 0.1


@dataclass(frozen=True, slots=True)
class Animation:
    """An indexed animation; of one frame, if it is a still picture."""

    source: MediaSource
    width: int
    height: int
    timeline: Timeline
    content_hash: str
    _starts: tuple[float, ...]
    _limits: MediaLimits

    def frames(self, targets: Sequence[float]) -> Iterator[Image.Image]:
        """The frames shown at the ascending `targets`, in RGB."""
        yield from shown_at(self._timed(), targets)

    def _timed(self) -> Iterator[tuple[float, Image.Image]]:
        with self.source.open() as file, opened(self.source.name, file, self._limits) as picture:
            for index, start in enumerate(self._starts):
                picture.seek(index)
                yield start, as_rgb(self.source.name, picture)


def index_animation(source: MediaSource, limits: MediaLimits) -> Animation:
    """Decode an animation once for its times and its hash. Raises MediaError as `load_image` does."""
    starts: list[float] = []
    hashes: list[str] = []
    now = 0.0
    with source.open() as file, opened(source.name, file, limits) as picture:
        num_frames = getattr(picture, "n_frames", 1)
        if num_frames > limits.max_video_frames:
            raise MediaError(f"{source.name}: more than {limits.max_video_frames:,} frames; cut it into parts")
        width, height = picture.size
        for index in range(num_frames):
            picture.seek(index)
            hashes.append(content_hash(np.asarray(as_rgb(source.name, picture))))
            starts.append(now)
            now += picture.info.get("duration", 0) / 1000 or _DEFAULT_FRAME_S
    # The last frame lasts too, which the times of the others do not tell.
    timeline = timeline_of(source.name, np.array(starts), num_frames / now)
    joined = content_hash(np.frombuffer("".join(hashes).encode() + repr(starts).encode(), dtype=np.uint8))
    return Animation(source, width, height, timeline, joined, tuple(starts), limits)
