"""Where media may come from."""

from __future__ import annotations

import base64
import os

import pytest

from moonlet.errors import MediaError, OptionError
from moonlet.media.limits import MediaLimits
from moonlet.media.options import MediaOptions
from moonlet.media.source import from_path, from_url

OPTIONS = MediaOptions()


def test_paths_file_urls_and_data_urls_are_read(tmp_path):
    path = tmp_path / "a b%.png"
    path.write_bytes(b"bytes")
    for url in (str(path), path.as_uri()):
        with from_url(url, "image", OPTIONS).open() as file:
            assert file.read() == b"bytes"
    encoded = base64.b64encode(b"bytes").decode()
    for url in (f"data:image/png;base64,{encoded}", f"DATA:;BASE64,{encoded.replace('=', '%3D')}", "data:,by%74es"):
        assert from_url(url, "image", OPTIONS).content == b"bytes"


def test_the_same_bytes_have_one_identity_and_a_changed_file_another(tmp_path):
    assert from_url("data:,a", "image", OPTIONS).identity == from_url("data:text/plain,%61", "image", OPTIONS).identity
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    first = from_path(path, "image").identity
    path.write_bytes(b"three")
    assert from_path(path, "image").identity != first


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/a.png", "https: addresses are not fetched"),
        ("HTTP://example.org/a.png", "http: addresses are not fetched"),
        ("data:image/png", "without a comma"),
        ("data:image/png;base64,abc", "not valid base64"),
        ("data:image/png;base64,ab#=", "not valid base64"),
        ("data:,", "empty"),
        ("file://elsewhere/a.png", "another machine (elsewhere)"),
        ("/nowhere/a.png", "No such file or directory"),
        ("a\0b", "not a valid path"),
        ("x" * 5000, "cannot be read"),
        ("/", "not a file"),
        ("/dev/null", "not a file"),
    ],
)
def test_what_is_not_allowed_or_not_there_is_one_short_line(url, expected):
    with pytest.raises(MediaError) as caught:
        from_url(url, "image", OPTIONS)
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_pipe_does_not_hang_and_an_empty_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(MediaError, match="not a file"):
        from_path(tmp_path / "pipe.png", "image")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError, match=r"empty\.mp4: empty, 0 bytes; expected a video"):
        from_path(tmp_path / "empty.mp4", "video")


def test_a_server_may_refuse_files_and_large_urls(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"secret")
    for url in (str(path), path.as_uri()):
        with pytest.raises(MediaError, match="expected a data: URL; local files are not read here"):
            from_url(url, "image", MediaOptions(allow_files=False))
    small = MediaOptions(limits=MediaLimits(max_data_url_bytes=10))
    with pytest.raises(MediaError, match="expected at most 10 bytes"):
        from_url("data:;base64," + "A" * 40, "image", small)
    with pytest.raises(MediaError, match="expected at most 10 bytes"):
        from_url("data:," + "A" * 40, "image", small)


@pytest.mark.parametrize("values", [{"video_tokens": 0}, {"video_fps": 0.0}, {"video_frames": -1}, {"video_fps": "2"}])
def test_impossible_options_are_refused(values):
    with pytest.raises(OptionError, match=next(iter(values))):
        MediaOptions(**values)
