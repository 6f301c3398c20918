"""What may come in at all: checked from headers, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Bounds far above any photograph or film, far below what would exhaust memory.

    max_image_bytes, max_data_url_bytes: of a file, and of what a `data:` URL decodes to; videos in files are streamed
    and have no limit of bytes.
    image_formats: by Pillow's names; of pictures alone, since Pillow would also run an interpreter (EPS) or follow what
    a file points to.
    max_image_pixels: of an image as stored; decoded it takes 3 to 4 bytes a pixel.  max_frame_pixels: of a video frame.
    max_video_frames: frames a video may have; their times are kept, 8 bytes each.
    """

    max_image_bytes: int = 256 << 20
    max_data_url_bytes: int = 256 << 20
    image_formats: tuple[str, ...] = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
    max_image_pixels: int = 89_478_485
    max_frame_pixels: int = 7680 * 4320
    max_video_frames: int = 10_000_000
