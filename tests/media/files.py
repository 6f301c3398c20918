"""Images and videos made for one test: small, and of a colour that tells which frame it is."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from moonlet.media.source import MediaSource


def source(kind: str, data: bytes, name: str = "test") -> MediaSource:
    return MediaSource(kind, name, data, f"{kind} test")  # type: ignore[arg-type]


def encoded(picture: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def animation(file_format: str, durations_ms: Sequence[int]) -> bytes:
    """Frame i is grey of 20 * i."""
    frames = [Image.new("RGB", (32, 32), (20 * index,) * 3) for index in range(len(durations_ms))]
    lossless = {"lossless": True} if file_format == "WEBP" else {}
    return encoded(
        frames[0], file_format, save_all=True, append_images=frames[1:], duration=list(durations_ms), **lossless
    )


def video(
    path: Path,
    times_ms: Sequence[int] | None = None,
    *,
    num_frames: int = 60,
    fps: int = 30,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    gop: int = 12,
    container_options: dict[str, str] | None = None,
    white_from_column: int | None = None,
) -> Path:
    """Frame i is grey of 4 * i. times_ms: when each is shown, instead of a constant rate."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=1000 if times_ms else fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        if times_ms:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(len(times_ms) if times_ms else num_frames):
            pixels = np.full((size[1], size[0], 3), 4 * index % 256, np.uint8)
            if white_from_column is not None:
                pixels[:, white_from_column:] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times_ms:
                frame.pts, frame.time_base = times_ms[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), format="s16", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
