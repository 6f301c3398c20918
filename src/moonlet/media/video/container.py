"""A video file, read with PyAV: an index made without decoding, and frames as a stream."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from moonlet.errors import MediaError
from moonlet.media.limits import MediaLimits
from moonlet.media.source import MediaSource
from moonlet.media.video.timeline import Timeline, Times, shown_at, timeline_of

# Containers of media alone. FFmpeg also has formats that are lists of other files and addresses (HLS, concat, DASH,
# SDP), through which a file from outside could read this machine's disk or reach its network.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpegtsraw,mpeg,mpegvideo,flv,asf,ogg,nut,mxf,rm,gif,apng,ivf,y4m,"
    "yuv4mpegpipe,h264,hevc,av1,obu,m4v,mjpeg,dv,wtv,swf,vob"
)
_OPEN = {"format_whitelist": _FORMATS, "protocol_whitelist": ""}
# Formats that state a duration rather than guess it from the bit rate.
_STATES_DURATION = ("mov,mp4", "matroska", "avi")
# Formats with an index of keyframes: in others a jump lands somewhere near, or nowhere.
_HAS_INDEX = ("mov,mp4", "matroska")
# Share of a frame by which a rounded time may fall short of the frame it belongs to.
_CLOCK_SHARE = 0.25
# A jump to a keyframe empties the decoder's threads; below this many frames decoding on is quicker.
_FRAMES_WORTH_A_SEEK = 8


@dataclass(frozen=True, slots=True)
class ContainerVideo:
    """An indexed video file.

    width, height: as shown, after rotation.  content_hash: over the encoded frames.
    keyframes: [n] seconds in the file's clock, ascending; empty where it cannot be told how to get to them.
    """

    source: MediaSource
    width: int
    height: int
    timeline: Timeline
    keyframes: Times
    has_times: bool
    content_hash: str

    def frames(self, targets: Sequence[float]) -> Iterator[Image.Image]:
        """The frames shown at the ascending `targets`, in RGB and upright, decoded one after the other.

        Memory does not depend on the length. Raises MediaError where the file is damaged.
        """
        with _opened(self.source) as (container, stream):
            for seek_s, group in self._runs(targets):
                if seek_s is not None:
                    assert stream.time_base is not None
                    container.seek(round(seek_s / stream.time_base), stream=stream)
                found = 0
                picture: Image.Image | None = None
                shown: VideoFrame | None = None
                for frame in shown_at(self._timed(container, stream, group), group):
                    # One frame may be on the screen at several targets; it is converted once.
                    if frame is not shown:
                        shown, picture = frame, _picture(frame)
                    assert picture is not None
                    found += 1
                    yield picture
                if found < len(group):
                    raise MediaError(f"{self.source.name}: no frame can be decoded; it is damaged or cut short")

    def _timed(
        self, container: InputContainer, stream: VideoStream, targets: Sequence[float]
    ) -> Iterator[tuple[float, VideoFrame]]:
        """Frames from here on with their times. Some that `targets` do not ask for are left out."""
        wanted = {self._frame_idx(target) for target in targets}
        # Where times are regular it is known which frames are asked for: of the others, those that no frame is
        # predicted from need not be decoded. (In H.264 that is about half of them.)
        may_skip = self.has_times and self.timeline.is_regular
        index = 0
        for packet in container.demux(stream):
            if may_skip and packet.pts is not None and packet.time_base is not None:
                is_wanted = self._frame_idx(float(packet.pts * packet.time_base)) in wanted
                stream.codec_context.skip_frame = "DEFAULT" if is_wanted else "NONREF"
            for frame in packet.decode():
                assert isinstance(frame, VideoFrame)
                time = frame.time if self.has_times else index / self.timeline.fps
                index += 1
                if time is not None:
                    yield time, frame

    def _frame_idx(self, time: float) -> int:
        """Which frame of a regular timeline is on the screen at `time`."""
        return math.floor((time - self.timeline.start_s) * self.timeline.fps + _CLOCK_SHARE)

    def _runs(self, targets: Sequence[float]) -> Iterator[tuple[float | None, list[float]]]:
        """`targets` in groups, each with the keyframe to jump to, or None where decoding starts at the beginning."""
        group: list[float] = []
        jump: float | None = None
        last = self.timeline.start_s
        for target in targets:
            index = int(np.searchsorted(self.keyframes, target, side="right")) - 1
            keyframe = float(self.keyframes[index]) if index >= 0 else last
            if (keyframe - last) * self.timeline.fps > _FRAMES_WORTH_A_SEEK:
                if group:
                    yield jump, group
                group, jump = [], keyframe
            group.append(target)
            last = target
        if group:
            yield jump, group


def index_container(source: MediaSource, limits: MediaLimits) -> ContainerVideo:
    """Read a video's packets once, decoding its first frame only.

    Raises MediaError in one line: not a video, sound alone, no frames, no rate, too large, cut short.
    """
    with _opened(source) as (container, stream):
        context = stream.codec_context
        width, height = context.width, context.height
        if width * height > limits.max_frame_pixels:
            raise MediaError(
                f"{source.name}: frames of {width} x {height}, expected at most {limits.max_frame_pixels:,} pixels"
            )
        digest = hashlib.sha256(f"{context.name} {width} {height}".encode() + (context.extradata or b""))
        times, keyframes = array("d"), array("d")
        end_s = 0.0
        time_base = float(stream.time_base or 0)
        for packet in container.demux():
            if packet.size == 0:
                continue
            when = packet.pts if packet.pts is not None else packet.dts
            seconds = float("nan") if when is None else when * float(packet.time_base or 0)
            end_s = max(end_s, seconds + (packet.duration or 0) * float(packet.time_base or 0))
            if packet.is_corrupt:
                raise MediaError(f"{source.name}: cut short: its last frame is incomplete; fetch it again")
            if packet.stream is not stream or packet.is_discard:
                continue
            times.append(seconds)
            digest.update(packet)
            if packet.is_keyframe:
                keyframes.append(seconds)
            if len(times) > limits.max_video_frames:
                raise MediaError(f"{source.name}: more than {limits.max_video_frames:,} frames; cut it into parts")
        _check_length(source.name, container, end_s)
        declared = stream.average_rate or stream.guessed_rate
        has_index = container.format.name.startswith(_HAS_INDEX)
    ordered = np.sort(np.frombuffer(times, dtype=np.float64))
    has_times = time_base > 0 and not bool(np.isnan(ordered).any())
    timeline = timeline_of(source.name, ordered, float(declared) if declared else None)
    digest.update(np.round((ordered - timeline.start_s) * 1000).astype(np.int64).tobytes() if has_times else b"")
    marks = np.sort(np.frombuffer(keyframes, dtype=np.float64)) if has_times and has_index else np.empty(0)
    width, height = _shown_size(source)
    return ContainerVideo(source, width, height, timeline, marks, has_times, digest.hexdigest())


def _check_length(name: str, container: InputContainer, end_s: float) -> None:
    """Hold the end of the last packet against the duration that the header states."""
    if not container.format.name.startswith(_STATES_DURATION) or not container.duration:
        return
    stated = (container.duration + max(0, container.start_time or 0)) / av.time_base
    if end_s < 0.95 * stated - 0.1:
        raise MediaError(
            f"{name}: cut short: {end_s:.1f} of {stated:.1f} seconds are there; fetch it again, "
            "or mend it: ffmpeg -i IN -c copy out.mp4"
        )


def _shown_size(source: MediaSource) -> tuple[int, int]:
    """Width and height of the first frame, upright."""
    with _opened(source) as (container, stream):
        frame = next(container.decode(stream), None)
        if frame is None:
            raise MediaError(f"{source.name}: no frame can be decoded; it is damaged or cut short")
        return (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)


def _picture(frame: VideoFrame) -> Image.Image:
    picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
    # Both count degrees against the clock.
    return picture.rotate(frame.rotation, expand=True) if frame.rotation % 360 else picture


@contextmanager
def _opened(source: MediaSource) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its first video stream. What FFmpeg raises inside becomes a MediaError."""
    file: BinaryIO = source.open()
    try:
        with file, _container(source.name, file) as container:
            stream = next((one for one in container.streams.video), None)
            if stream is None:
                found = "sound alone" if container.streams.audio else "nothing that can be shown"
                raise MediaError(f"{source.name}: holds {found}, expected a video")
            # Absent where this build has no decoder, or the header is too damaged to name one; PyAV's types do not say.
            if getattr(stream, "codec_context", None) is None:
                raise MediaError(f"{source.name}: its frames are of a kind that is not read, or the file is damaged")
            stream.thread_type = "AUTO"
            yield container, stream
    except av.FFmpegError as cause:
        raise MediaError(
            f"{source.name}: the video cannot be decoded, it is damaged or cut short ({cause.strerror})"
        ) from None


def _container(name: str, file: BinaryIO) -> Any:
    try:
        return av.open(file, options=_OPEN)
    except av.FFmpegError:
        raise MediaError(f"{name}: not a video that can be read, or one without its beginning or index") from None
