"""Images of every kind, and one clear line for each that cannot be read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, features

from moonlet.errors import MediaError
from moonlet.media.config import MediaProcessorConfig
from moonlet.media.image import PreparedImage, load_image
from moonlet.media.limits import MediaLimits
from moonlet.model.vision import VisionItem

from .files import animation, encoded, noise, source

CONFIG = MediaProcessorConfig()
PICTURE = noise(30, 20)


def load(data: bytes, limits: MediaLimits | None = None) -> PreparedImage:
    return load_image(source("image", data), CONFIG, limits or MediaLimits())


def item(data: bytes) -> VisionItem:
    (only,) = load(data).items()
    return only


def same(first: bytes, second: bytes) -> bool:
    return torch.equal(item(first).pixels, item(second).pixels)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_the_container_changes_nothing_not_even_the_hash(file_format):
    plain = load(encoded(PICTURE))
    assert load(encoded(PICTURE, file_format)).pieces == plain.pieces
    assert same(encoded(PICTURE, file_format), encoded(PICTURE))


def test_another_picture_of_the_same_size_has_another_hash():
    assert load(encoded(PICTURE)).pieces != load(encoded(noise(30, 20, seed=1))).pieces


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "AVIF"])
def test_lossy_formats_are_read(file_format):
    if file_format == "AVIF" and not features.check("avif"):
        pytest.skip("this build of Pillow does not read AVIF")
    grey = encoded(Image.new("RGB", (30, 20), (90, 90, 90)), file_format)
    assert item(grey).pixels[0, :, :10, :10].mean().item() == pytest.approx(90 / 127.5 - 1, abs=0.02)


def test_the_camera_was_held_sideways():
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = PICTURE.transpose(Image.Transpose.ROTATE_270)
    assert same(encoded(PICTURE, "PNG", exif=exif), encoded(upright))
    turned = load(encoded(PICTURE, "PNG", exif=exif))
    assert (turned.width, turned.height) == (20, 30)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK"])
def test_every_mode_is_its_rgb(mode):
    stored = PICTURE.convert(mode)
    file_format = "TIFF" if mode == "CMYK" else "PNG"
    assert same(encoded(stored, file_format), encoded(stored.convert("RGB")))


def test_alpha_is_dropped_and_not_blended():
    transparent = PICTURE.copy()
    transparent.putalpha(0)
    assert same(encoded(transparent), encoded(PICTURE))


def test_sixteen_bits_are_scaled_to_eight():
    levels = np.arange(600, dtype=np.uint16).reshape(20, 30) % 256
    deep = Image.fromarray((levels * 257).astype(np.uint16))
    assert same(encoded(deep), encoded(Image.fromarray(levels.astype(np.uint8))))


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_the_image(file_format):
    first = item(animation(file_format, [100, 100, 100]))
    assert first.grid.t == 1
    assert first.pixels[0].unique().tolist() == [-1.0]


@pytest.mark.parametrize(("size", "num_tokens"), [((1, 1), 1), ((20_000, 10), 256), ((10, 20_000), 256)])
def test_extreme_sizes_are_handled_as_published(size, num_tokens):
    image = load(encoded(Image.new("RGB", size)))
    assert image.pieces[0].num_tokens == num_tokens
    assert next(image.items()).grid == image.pieces[0].grid


def test_a_large_picture_is_made_smaller():
    image = load(encoded(Image.new("L", (4032, 3024))))
    assert image.pieces[0].num_tokens == 4144
    assert "4032 x 3024, shown at" in image.summary


PNG = encoded(noise(300, 300))
JPEG = encoded(noise(300, 300), "JPEG")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"hello world", "unsupported image format, or not an image; expected one of PNG"),
        (PNG[: len(PNG) // 2], "failed to decode image, it is damaged or cut short"),
        (PNG[:20], "damaged or cut short"),
        (JPEG[: len(JPEG) // 2], "damaged or cut short"),
        (JPEG[:300], "damaged or cut short"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "unsupported image format, HEIC; convert it first: heif-convert"),
        (b"\0\0\0\x18ftypisom" + bytes(50), "a video, expected an image; give it as a video"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported image format"),
        (encoded(Image.new("F", (9, 9)), "TIFF"), "floating-point numbers, expected 8 or 16 bits"),
        (encoded(Image.fromarray(np.full((9, 9), 70_000, np.int32)), "TIFF"), "values from 70000 to 70000"),
        (encoded(Image.new("1", (20_000, 20_000))), "more pixels than the 89,478,485 allowed"),
        (encoded(Image.new("1", (10_000, 9_000))), "10000 x 9000 pixels, expected at most 89,478,485"),
    ],
)
def test_what_cannot_be_read_is_one_line(data, expected):
    with pytest.raises(MediaError) as caught:
        load(data)
    assert expected in str(caught.value)
    assert str(caught.value).startswith("test: ")
    assert "\n" not in str(caught.value)


def test_limits_hold_before_anything_is_decoded(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", None)
    limits = MediaLimits(max_image_pixels=599)
    with pytest.raises(MediaError, match="30 x 20 pixels, expected at most 599"):
        load(encoded_before, limits)
    with pytest.raises(MediaError, match="bytes, expected at most 10"):
        load(encoded_before, replace(limits, max_image_bytes=10))


encoded_before = encoded(PICTURE)


def test_no_cut_of_a_file_gives_a_traceback():
    small = encoded(noise(8, 8))
    for length in range(1, len(small)):
        with suppress(MediaError):
            load(small[:length])
