"""A video that has been indexed and planned; its pixels are made chunk by chunk when the tower asks for them."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from moonlet.errors import MediaError
from moonlet.media.config import MediaProcessorConfig
from moonlet.media.geometry import Geometry
from moonlet.media.options import MediaOptions
from moonlet.media.patches import Pixels, resize, to_item
from moonlet.media.prepared import MediaPiece, counted
from moonlet.media.sniff import HEADER_BYTES
from moonlet.media.source import MediaSource
from moonlet.media.video.animation import Animation, index_animation
from moonlet.media.video.container import ContainerVideo, index_container
from moonlet.media.video.plan import FramePlan, plan_video
from moonlet.model.vision import VisionItem

# Frames decoded before they are asked for: they wait in memory, 6 MB each at 1080p.
_FRAMES_AHEAD = 4


@dataclass(frozen=True, slots=True)
class PreparedVideo:
    """A video ready to be read. Holds no pixels; the file must stay where it is until `items` has ended.

    num_bytes: memory held, about.  changed: what options changed, in words; "" if nothing.
    """

    name: str
    video: ContainerVideo | Animation
    plan: FramePlan
    pieces: tuple[MediaPiece, ...]
    changed: str

    @property
    def num_bytes(self) -> int:
        return 1024 * len(self.pieces) + (self.video.keyframes.nbytes if isinstance(self.video, ContainerVideo) else 0)

    @property
    def timestamps(self) -> tuple[str, ...]:
        """HH:MM:SS.fff of each piece."""
        return self.plan.timestamps

    @property
    def summary(self) -> str:
        """One line for people."""
        plan, geometry = self.plan, self.plan.geometry
        return (
            f"{self.name}: {self.video.width} x {self.video.height}, {plan.timeline.duration_s:.1f} s at "
            f"{plan.timeline.fps:.4g} frames/s; {counted(len(plan.frame_indices), 'frame')} taken at "
            f"{geometry.width} x {geometry.height} in {counted(len(self.pieces), 'chunk')}, "
            f"{counted(plan.num_tokens, 'token')}{self.changed and f'; {self.changed}'}"
        )

    def items(self, start: int = 0) -> Iterator[VisionItem]:
        """The patches of the chunks from `start` on; one chunk is in memory at a time.

        Raises MediaError where the file turns out to be damaged, or was changed after it was indexed.
        """
        chunks = self.plan.chunks[start:]
        targets = self.plan.timeline.targets([index for chunk in chunks for index in chunk])
        frames = _resized(self.video.frames(targets), self.plan.geometry)
        for chunk in chunks:
            yield to_item([next(frames) for _ in chunk], self.plan.geometry, self.plan.config)


def open_video(source: MediaSource, config: MediaProcessorConfig, options: MediaOptions) -> PreparedVideo:
    """Index a video and choose its frames; a GIF, WebP or PNG is one too.

    Raises MediaError in one line: not a video, sound alone, no frames or times, too large, cut short, or larger than
    the budget at any size.
    """
    video = _indexed(source, options)
    size = (video.width, video.height)
    plan = plan_video(source.name, video.timeline, size, config, options)
    published = plan_video(source.name, video.timeline, size, config, MediaOptions())
    key = hashlib.sha256(f"{video.content_hash} {plan.geometry} {plan.frame_indices}".encode()).hexdigest()
    pieces = tuple(
        MediaPiece(grid, hashlib.sha256(f"{key} {index}".encode()).hexdigest()) for index, grid in enumerate(plan.grids)
    )
    return PreparedVideo(source.name, video, plan, pieces, _difference(plan, published))


def _resized(pictures: Iterable[Image.Image], geometry: Geometry) -> Iterator[Pixels]:
    """`pictures` at their published size, in order. While one is resized the next is decoded."""
    with ThreadPoolExecutor(min(_FRAMES_AHEAD, os.cpu_count() or 1)) as pool:
        waiting: deque[Future[Pixels]] = deque()
        for picture in pictures:
            waiting.append(pool.submit(resize, picture, geometry))
            if len(waiting) == _FRAMES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _indexed(source: MediaSource, options: MediaOptions) -> ContainerVideo | Animation:
    with source.open() as file:
        header = file.read(HEADER_BYTES)
    if header[:4] in (b"GIF8", b"\x89PNG") or (header[:4] == b"RIFF" and header[8:12] == b"WEBP"):
        return index_animation(source, options.limits)
    if header[:3] == b"\xff\xd8\xff":
        raise MediaError(f"{source.name}: an image, expected a video; give it as an image (--image, /image, image_url)")
    return index_container(source, options.limits)


def _difference(plan: FramePlan, published: FramePlan) -> str:
    """What differs from the published rule."""
    changes = []
    if len(plan.frame_indices) != len(published.frame_indices):
        changes.append(f"{plan.sampled_fps:.3g} frames/s instead of {published.sampled_fps:.3g}")
    if plan.geometry != published.geometry:
        before = published.geometry
        changes.append(f"{plan.geometry.width} x {plan.geometry.height} instead of {before.width} x {before.height}")
    return ", ".join(changes) and f"by request {', '.join(changes)}"
