"""Pictures: the pixels fed in training are those that inference feeds, and the labels tell the truth about them."""

from __future__ import annotations

import io
from random import Random

import av
import numpy as np
import pytest
from PIL import Image

from moonlet.train.media_files import lossless_video, png
from moonlet.train.pictures import CHUNK_FRAMES, HEADS, TOKEN_SIDE, num_tokens, to_patches
from moonlet.train.tasks import VISUAL_TASKS, Task
from moonlet.train.tasks.page import HEAD, Box, PageCode, mean_overlap, parse_page

ALL = pytest.mark.parametrize("task", VISUAL_TASKS, ids=lambda task: task.name)


def drawn(task: Task, count: int = 40):
    rng = Random(task.name)
    return [picture for _ in range(count) for picture in task.sample(rng, rng.random()).media]


@ALL
def test_sides_are_whole_tokens_and_frames_whole_chunks(task: Task) -> None:
    for picture in drawn(task):
        frames = picture.draw()
        assert frames.dtype == np.uint8
        assert frames.shape[1] % TOKEN_SIDE == frames.shape[2] % TOKEN_SIDE == 0
        assert frames.shape[0] == 1 if picture.frames_per_second is None else frames.shape[0] % CHUNK_FRAMES == 0


@ALL
def test_a_picture_draws_the_same_pixels_again(task: Task) -> None:
    for picture in drawn(task, 3):
        assert np.array_equal(picture.draw(), picture.draw())


@ALL
def test_labels_ask_about_tokens_that_are_there(task: Task) -> None:
    for picture in drawn(task):
        frames = picture.draw()
        tokens = num_tokens(frames) * -(-len(frames) // CHUNK_FRAMES)
        assert picture.labels()
        for label in picture.labels():
            assert 0 <= label.token < tokens
            assert 0 <= label.answer < HEADS[label.head]


@ALL
def test_files_hold_the_very_pixels(task: Task) -> None:
    for picture in drawn(task, 2):
        frames = picture.draw()
        if picture.frames_per_second is None:
            read = [np.asarray(Image.open(io.BytesIO(png(picture))))]
        else:
            with av.open(io.BytesIO(lossless_video(picture))) as container:
                assert container.streams.video[0].average_rate == picture.frames_per_second
                read = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert np.array_equal(np.stack(read), frames)


def test_patches_run_frame_by_frame_and_row_by_row() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 28, 56, 3), np.uint8)
    patches = to_patches(frames).view(2, 2, 4, 3, 14, 14)
    expected = (frames[1, 14:28, 28:42].astype(np.float32) / 255 - 0.5) / 0.5
    assert np.allclose(patches[1, 1, 2].permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_a_page_is_read_back_from_its_html() -> None:
    rng = Random(1)
    for _ in range(50):
        problem = PageCode().sample(rng, 1.0)
        boxes = parse_page(problem.expected)
        assert boxes == problem.media[0].boxes
        assert mean_overlap(boxes, boxes) == 1.0


def test_overlap_counts_shifted_missing_and_invented_boxes() -> None:
    box = Box(0, 0, 28, 28, "red", "A")
    shifted = Box(14, 0, 28, 28, "red", "A")
    assert mean_overlap((box,), (shifted,)) == pytest.approx(1 / 3)
    assert mean_overlap((box, shifted), (box,)) == pytest.approx(1 / 2)
    assert mean_overlap((box,), (box, shifted)) == pytest.approx(1 / 2)
    assert mean_overlap((box,), (Box(0, 0, 28, 28, "blue", "A"),)) == 0.0
    assert not PageCode().is_correct(PageCode().sample(Random(1), 0.0), HEAD)
