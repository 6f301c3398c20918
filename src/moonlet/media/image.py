"""One image, from whatever file it is in to the pixels the tower reads."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from moonlet.errors import MediaError
from moonlet.media.config import MediaProcessorConfig
from moonlet.media.geometry import Geometry, fit
from moonlet.media.limits import MediaLimits
from moonlet.media.patches import Pixels, resize, to_item
from moonlet.media.prepared import MediaPiece, counted
from moonlet.media.sniff import HEADER_BYTES, family_of
from moonlet.media.source import MediaSource
from moonlet.model.vision import VisionItem


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image that has been decoded and resized. Holds [height, width, 3] bytes, 10 MB at most.

    width, height: in pixels, as a viewer shows it.
    """

    name: str
    width: int
    height: int
    geometry: Geometry
    pieces: tuple[MediaPiece, ...]
    _pixels: Pixels
    _config: MediaProcessorConfig

    @property
    def num_bytes(self) -> int:
        """Memory held."""
        return self._pixels.nbytes

    @property
    def summary(self) -> str:
        """One line for people."""
        resized = ""
        if (self.geometry.width, self.geometry.height) != (self.width, self.height):
            resized = f", shown at {self.geometry.width} x {self.geometry.height}"
        return f"{self.name}: {self.width} x {self.height}{resized}, {counted(self.pieces[0].num_tokens, 'token')}"

    def items(self, start: int = 0) -> Iterator[VisionItem]:
        """The image's patches."""
        if start == 0:
            yield to_item([self._pixels], self.geometry, self._config)


def load_image(source: MediaSource, config: MediaProcessorConfig, limits: MediaLimits) -> PreparedImage:
    """Decode an image; of an animation, its first frame.

    The size is held against the limits before a pixel is decoded.
    Raises MediaError in one line: not an image, of a kind that is not read, too large, damaged or cut short.
    """
    if source.num_bytes > limits.max_image_bytes:
        raise MediaError(f"{source.name}: {source.num_bytes:,} bytes, expected at most {limits.max_image_bytes:,}")
    with source.open() as file, opened(source.name, file, limits) as stored:
        picture = as_rgb(source.name, stored)
    geometry = fit(*picture.size, config.in_patch_limit, config)
    pixels = resize(picture, geometry)
    piece = MediaPiece(geometry.grid(config), content_hash(pixels))
    return PreparedImage(source.name, *picture.size, geometry, (piece,), pixels, config)


@contextmanager
def opened(name: str, file: BinaryIO, limits: MediaLimits) -> Iterator[Image.Image]:
    """An image file whose header has been read and checked. What decoding it raises becomes a MediaError."""
    header = file.read(HEADER_BYTES)
    file.seek(0)
    _check_family(name, header)
    try:
        with warnings.catch_warnings():
            # Pillow warns of a large picture before its size can be asked for; ours is the limit that counts.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(file, formats=limits.image_formats)
    except UnidentifiedImageError:
        expected = ", ".join(limits.image_formats)
        raise MediaError(f"{name}: unsupported image format, or not an image; expected one of {expected}") from None
    except Image.DecompressionBombError:
        raise MediaError(f"{name}: more pixels than the {limits.max_image_pixels:,} allowed; make it smaller") from None
    except Exception as cause:  # decoders of foreign bytes raise whatever they meet
        raise _damaged(name, cause) from None
    with picture:
        width, height = picture.size
        if width * height > limits.max_image_pixels:
            raise MediaError(
                f"{name}: {width} x {height} pixels, expected at most {limits.max_image_pixels:,}; make it smaller"
            )
        try:
            yield picture
        except MediaError:
            raise
        except Exception as cause:
            raise _damaged(name, cause) from None


def as_rgb(name: str, picture: Image.Image) -> Image.Image:
    """The current frame upright and in RGB. Alpha is dropped, not blended: the published processor does so.

    16 bits a channel are scaled to 8. Raises MediaError for pixels whose range is not known.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.int64)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise MediaError(f"{name}: values from {low} to {high}, expected 8 or 16 bits a pixel; save it as such")
        # 65535 / 257 = 255: rounded, so that 8-bit pictures stored as 16 come back as they were.
        picture = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    elif picture.mode == "F":
        raise MediaError(f"{name}: pixels are floating-point numbers, expected 8 or 16 bits a pixel; save it as such")
    return picture.convert("RGB")


def content_hash(pixels: Pixels) -> str:
    """SHA-256 over the size and the bytes fed: the same picture in another file has the same."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _check_family(name: str, header: bytes) -> None:
    match family_of(header):
        case "heic":
            raise MediaError(f"{name}: unsupported image format, HEIC; convert it first: heif-convert {name} photo.jpg")
        case "avif" if not features.check("avif"):
            raise MediaError(f"{name}: unsupported image format, AVIF in this build of Pillow; convert it to PNG")
        case "video":
            raise MediaError(f"{name}: a video, expected an image; give it as a video (--video, /video, video_url)")


def _damaged(name: str, cause: Exception) -> MediaError:
    return MediaError(
        f"{name}: failed to decode image, it is damaged or cut short ({' '.join(str(cause).split())[:80]})"
    )
