"""Drawn pictures as the files a user would send, without loss: the engine reads back the very pixels."""

from __future__ import annotations

import base64
import io
from fractions import Fraction

import av
from PIL import Image

from moonlet.train.pictures import Picture


def png(picture: Picture) -> bytes:
    """An image as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture.draw()[0]).save(file, "PNG")
    return file.getvalue()


def lossless_video(picture: Picture) -> bytes:
    """A clip as a Matroska file in FFV1, with RGB pixels."""
    assert picture.frames_per_second is not None
    frames = picture.draw()
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=Fraction(picture.frames_per_second))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def content_part(picture: Picture) -> dict[str, object]:
    """A part of a chat message in OpenAI's form, the file in a data: URL."""
    if picture.frames_per_second is None:
        return _part("image_url", "image/png", png(picture))
    return _part("video_url", "video/x-matroska", lossless_video(picture))


def _part(kind: str, mime: str, content: bytes) -> dict[str, object]:
    return {"type": kind, kind: {"url": f"data:{mime};base64,{base64.b64encode(content).decode()}"}}
