"""Pre-processing against the published arithmetic: every grid, every chunk, every pixel equal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from moonlet.media.config import MediaProcessorConfig
from moonlet.media.geometry import fit
from moonlet.media.image import load_image
from moonlet.media.limits import MediaLimits
from moonlet.media.options import MediaOptions
from moonlet.media.patches import resize, to_item
from moonlet.media.source import from_path
from moonlet.media.video.plan import plan_video
from moonlet.media.video.timeline import Timeline

VECTORS = Path(__file__).parents[1] / "vectors" / "media"
TINY = Path(__file__).parents[1] / "vectors" / "tiny-k25"
CONFIG = MediaProcessorConfig()
INDEX = json.loads((VECTORS / "pixels" / "index.json").read_text())


def records(name: str) -> list[dict]:
    return [json.loads(line) for line in (VECTORS / name).read_text().splitlines()]


def test_every_size_gives_the_published_grid():
    found = records("image_grid.jsonl")
    for record in found:
        geometry = fit(record["width"], record["height"], CONFIG.in_patch_limit, CONFIG)
        grid = geometry.grid(CONFIG)
        assert [geometry.width, geometry.height] == record["resized"], record
        assert [geometry.padded_width, geometry.padded_height] == record["padded"], record
        assert ([grid.t, grid.h, grid.w], grid.num_tokens) == (record["grid_thw"], record["num_tokens"]), record
    assert len(found) == 83


def test_every_video_gives_the_published_frames_chunks_and_timestamps():
    found = records("video_chunks.jsonl")
    for record in found:
        timeline = Timeline(record["num_frames"], record["fps"])
        plan = plan_video("x", timeline, (record["width"], record["height"]), CONFIG, MediaOptions())
        assert list(plan.frame_indices) == record["frame_indices"]
        assert [plan.geometry.width, plan.geometry.height] == record["resized"]
        chunks = record["chunks"]
        assert [list(chunk) for chunk in plan.chunks] == [chunk["frames"] for chunk in chunks]
        assert list(plan.timestamps) == [chunk["timestamp"] for chunk in chunks]
        assert [[grid.t, grid.h, grid.w] for grid in plan.grids] == [chunk["grid_thw"] for chunk in chunks]
        assert plan.num_tokens == record["num_tokens"]
    assert len(found) == 25


@pytest.mark.parametrize("name", ["gradient", "text", "odd"])
def test_every_pixel_is_the_published_one(name):
    path = VECTORS / "pixels" / f"{name}.png"
    expected = load_file(path.with_suffix(".safetensors"))
    (item,) = load_image(from_path(path, "image"), CONFIG, MediaLimits()).items()
    assert torch.equal(item.pixels, expected["pixel_values"])
    smaller = replace(CONFIG, in_patch_limit=INDEX[name]["small"]["in_patch_limit"])
    (item,) = load_image(from_path(path, "image"), smaller, MediaLimits()).items()
    assert torch.equal(item.pixels, expected["small.pixel_values"])


def test_a_strip_longer_than_the_limit_of_a_side_is_the_published_one():
    facts = INDEX["strip"]
    image = load_image(from_path(VECTORS / "pixels" / "strip.png", "image"), CONFIG, MediaLimits())
    (item,) = image.items()
    assert list(item.pixels.shape) == facts["pixel_values_shape"]
    assert hashlib.sha256(item.pixels.numpy().tobytes()).hexdigest() == facts["pixel_values_f32_le_sha256"]


def test_four_frames_become_the_published_patches_of_a_chunk():
    expected = load_file(TINY / "expected.safetensors")
    frames = [Image.fromarray(frame.numpy()) for frame in expected["video.frames_uint8"]]
    geometry = fit(*frames[0].size, CONFIG.in_patch_limit_each_frame, CONFIG)
    item = to_item([resize(frame, geometry) for frame in frames], geometry, CONFIG)
    assert torch.equal(item.pixels, expected["video.pixel_values"])
    assert [item.grid.t, item.grid.h, item.grid.w] == expected["video.grid_thw"][0].tolist()
    # One frame as video and as image is the same.
    alone = to_item([resize(frames[0], geometry)], geometry, CONFIG)
    assert torch.equal(alone.pixels, item.pixels[: item.grid.h * item.grid.w])
