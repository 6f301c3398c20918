"""Video files of every kind: the right frames at the right times, and one clear line for what cannot be read."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from moonlet.errors import MediaError
from moonlet.media.config import MediaProcessorConfig
from moonlet.media.image import load_image
from moonlet.media.limits import MediaLimits
from moonlet.media.options import MediaOptions
from moonlet.media.video import PreparedVideo, open_video
from moonlet.media.video.plan import plan_video
from moonlet.media.video.timeline import Timeline, shown_at, timeline_of

from .files import animation, encoded, noise, sound, source, video

CONFIG = MediaProcessorConfig()


def prepared(path: Path | bytes, options: MediaOptions | None = None) -> PreparedVideo:
    data = path if isinstance(path, bytes) else path.read_bytes()
    return open_video(source("video", data), CONFIG, options or MediaOptions())


def levels(one: PreparedVideo, start: int = 0, step: int = 4) -> list[int]:
    """Which frames were shown: their grey divided by its step a frame."""
    found = []
    for item in one.items(start):
        for frame in item.pixels.view(item.grid.t, -1, 3, 14, 14):
            found.append(round((frame[0].mean().item() + 1) * 127.5 / step))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx-vp9")],
)
def test_the_published_frames_are_taken_from_any_container(folder, name, codec):
    one = prepared(video(folder / name, codec=codec))
    assert one.plan.frame_indices == (0, 20, 39, 59)
    assert levels(one) == pytest.approx([0, 20, 39, 59], abs=1)
    assert one.plan.timeline.fps == 30
    assert [piece.grid for piece in one.pieces] == one.plan.grids


def test_remuxing_a_video_does_not_change_its_hash_and_its_plan_does(folder):
    first, second = video(folder / "h.mp4"), video(folder / "h.mkv")
    assert prepared(first).pieces == prepared(second).pieces
    assert prepared(first, MediaOptions(video_frames=3)).pieces != prepared(first).pieces
    assert prepared(video(folder / "i.mp4", num_frames=59)).pieces[0] != prepared(first).pieces[0]


def test_reading_from_a_later_chunk_gives_what_reading_all_gives(folder):
    one = prepared(video(folder / "long.mp4", num_frames=240, gop=12), MediaOptions(video_fps=5))
    everything = list(one.items())
    assert len(everything) == 10
    for start in (1, 4, 9):
        for item, expected in zip(one.items(start), everything[start:], strict=True):
            assert torch.equal(item.pixels, expected.pixels)


def test_jumping_to_keyframes_gives_the_frames_that_decoding_all_gives(folder):
    path = video(folder / "sparse.mp4", num_frames=300, gop=10)
    wanted = [0, 4, 33, 34, 100, 171, 299]
    one = prepared(path).video
    jumped = [np.asarray(frame) for frame in one.frames(one.timeline.targets(wanted))]
    with av.open(str(path)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == 300
    for index, frame in zip(wanted, jumped, strict=True):
        assert np.array_equal(frame, decoded[index]), index


def test_a_variable_rate_shows_what_was_on_the_screen_at_each_time(folder):
    path = video(folder / "vfr.mp4", [0, 10, 20, 30, 40, 1000, 2000, 3000, 3010, 3020, 4000])
    one = prepared(path, MediaOptions(video_fps=2.5))
    assert not one.plan.timeline.is_regular
    # 2.5 frames a second: 0, 0.4, 0.8 ... seconds.
    assert levels(one) == [0, 4, 4, 5, 5, 6, 6, 6, 9, 9, 10]


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_a_video_of_all_its_frames(file_format):
    one = prepared(animation(file_format, [500] * 8))
    assert one.plan.timeline.fps == pytest.approx(2)
    assert levels(one, step=20) == list(range(8))
    assert one.timestamps == ("00:00:00.000", "00:00:02.000")
    uneven = prepared(animation(file_format, [3000, 500, 500]))
    assert levels(uneven, step=20)[0] == 0


def test_a_phone_held_upright_gives_upright_frames(folder):
    data = bytearray(video(folder / "up.mp4", white_from_column=32).read_bytes())
    # The matrix of the track header (version 0) as a phone writes it: a quarter turn clockwise.
    at = data.find(b"tkhd") + 4 + 4 + 20 + 8 + 8
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    one = prepared(bytes(data))
    assert (one.video.width, one.video.height) == (48, 64)
    assert next(one.items()).grid.h > next(one.items()).grid.w
    shown = np.asarray(next(iter(one.video.frames([0.0]))))
    assert shown.shape == (64, 48, 3)
    assert shown[:28].max() < 30, "what was left of the white half is above it now"
    assert shown[36:].min() > 220


def test_a_video_of_one_frame_is_the_image(folder):
    one = prepared(encoded(noise(40, 30)))
    image = load_image(source("image", encoded(noise(40, 30))), CONFIG, MediaLimits())
    assert torch.equal(next(one.items()).pixels, next(image.items()).pixels)
    assert prepared(video(folder / "single.mp4", num_frames=1)).plan.frame_indices == (0,)


def test_frames_are_streamed_one_beyond_what_was_asked():
    seen = []

    def frames():
        for index in range(100):
            seen.append(index)
            yield index / 10, index

    shown = shown_at(frames(), [0.05, 0.25, 0.26, 9.0])
    assert [next(shown) for _ in range(3)] == [0, 2, 2]
    assert len(seen) == 4


TIMELINE = Timeline(18_000, 30.0)


@pytest.mark.parametrize("budget", [300_000, 100_000, 20_000, 5_000, 1_000, 100, 10, 1])
def test_a_budget_is_kept_by_lowering_the_rate_and_then_the_size(budget):
    full = plan_video("x", TIMELINE, (1920, 1080), CONFIG, MediaOptions())
    plan = plan_video("x", TIMELINE, (1920, 1080), CONFIG, MediaOptions(video_tokens=budget))
    assert full.num_tokens > 300_000
    assert plan.num_tokens <= budget
    if plan.sampled_fps > 0.5:
        assert plan.geometry == full.geometry, "the rate first"
    assert plan.num_tokens > budget * 0.6 or budget < 20, "and no lower than it must be"
    assert {0, 17_999} <= set(plan.frame_indices)


def test_a_budget_that_fits_changes_nothing_and_one_that_cannot_is_refused():
    full = plan_video("x", TIMELINE, (1920, 1080), CONFIG, MediaOptions())
    assert plan_video("x", TIMELINE, (1920, 1080), CONFIG, MediaOptions(video_tokens=full.num_tokens)) == full
    with pytest.raises(MediaError, match=r"at least 5 tokens at any size, --video-tokens allows 1"):
        plan_video("x", TIMELINE, (3000, 50), CONFIG, MediaOptions(video_tokens=1))


def test_rate_and_count_are_bounds_and_what_they_changed_is_said(folder):
    path = video(folder / "bounds.mp4", num_frames=120)
    assert len(prepared(path, MediaOptions(video_fps=1)).plan.frame_indices) == 4
    two = prepared(path, MediaOptions(video_frames=2))
    assert two.plan.frame_indices == (0, 119)
    assert "by request 0.5 frames/s instead of 2" in two.summary
    assert "36 x 27 instead of 64 x 48" in prepared(path, MediaOptions(video_tokens=3, video_frames=4)).summary
    assert prepared(path).changed == ""


def cut(path: Path, share: float) -> bytes:
    data = path.read_bytes()
    return data[: int(len(data) * share)]


def test_what_cannot_be_read_is_one_line(folder):
    plain, early = (
        video(folder / "b.mp4"),
        video(folder / "early.mp4", container_options={"movflags": "faststart"}),
    )
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
    cases = {
        "not a video that can be read": [b"hello world", playlist, b"ffconcat version 1.0\nfile b.mp4\n"],
        "holds sound alone, expected a video": [sound(folder / "sound.mp4").read_bytes()],
        "nothing that can be shown": [cut(plain, 0.6)],
        "cut short": [
            cut(early, 0.7),
            cut(video(folder / "b.mkv"), 0.6),
            cut(video(folder / "b.avi", codec="mpeg4"), 0.6),
        ],
        "an image, expected a video": [encoded(noise(9, 9), "JPEG")],
    }
    for expected, files in cases.items():
        for data in files:
            with pytest.raises(MediaError) as caught:
                prepared(data)
            assert expected in str(caught.value)
            assert "\n" not in str(caught.value)


def test_limits_hold(folder):
    path = video(folder / "limits.mp4")
    for limits, expected in (
        (MediaLimits(max_frame_pixels=3000), "frames of 64 x 48, expected at most 3,000 pixels"),
        (MediaLimits(max_video_frames=59), "more than 59 frames"),
    ):
        with pytest.raises(MediaError, match=expected):
            prepared(path, MediaOptions(limits=limits))


def test_no_cut_of_a_file_gives_a_traceback(folder):
    data = video(folder / "cuts.mp4", num_frames=6, container_options={"movflags": "faststart"}).read_bytes()
    for length in range(1, len(data), 37):
        with suppress(MediaError):
            list(prepared(data[:length]).items())


@pytest.mark.parametrize(
    ("times", "declared", "expected"),
    [
        ([], 30.0, "a video without frames"),
        ([1.0, 1.0, 1.0], 30.0, "its 3 frames last 0 seconds"),
        ([np.nan, np.nan], None, "its frame rate is unknown"),
    ],
)
def test_videos_without_time_are_refused(times, declared, expected):
    with pytest.raises(MediaError, match=expected):
        timeline_of("x", np.array(times, dtype=np.float64), declared)


def test_the_declared_rate_counts_where_the_times_agree_with_it():
    exact = 30000 / 1001
    rounded = np.round(np.arange(900) / exact, 3)
    assert timeline_of("x", rounded, exact) == Timeline(900, exact)
    assert timeline_of("x", rounded, 60.0).fps == pytest.approx(exact, rel=1e-4)
    assert timeline_of("x", np.full(5, np.nan), 25.0) == Timeline(5, 25.0)
    assert timeline_of("x", np.array([3.0]), None) == Timeline(1, 1.0, 3.0)
