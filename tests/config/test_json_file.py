"""A JSON file from elsewhere is read within bounds, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from moonlet.config.json_file import read_json_object
from moonlet.errors import ConfigError


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not valid JSON at line 1 column 1"),
        (b'{"a": 1', "not valid JSON"),
        (b"[1]", "holds a list, expected an object"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b'{"a": 1, "a": 2}', "key 'a' occurs twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ' + b"1" * 10_000 + b"}", "integer"),
    ],
)
def test_what_is_not_a_sound_object_is_refused_in_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=said) as caught:
        read_json_object(path, 1 << 20, ConfigError)
    assert str(caught.value).startswith("config.json: ")
    assert "\n" not in str(caught.value)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b" " * 101)
    with pytest.raises(ConfigError, match="101 bytes, expected at most 100"):
        read_json_object(path, 100, ConfigError)


def test_a_directory_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ConfigError, match="not a file"):
        read_json_object(tmp_path / "config.json", 100, ConfigError)
