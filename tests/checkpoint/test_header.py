"""Headers that no sound writer makes are refused in one line, whatever they claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from moonlet.checkpoint.header import read_header
from moonlet.checkpoint.shard import Shard
from moonlet.errors import CheckpointError
from tests.fakes.checkpoints import write_raw_shard


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("header", "said"),
    [
        pytest.param(b"{", "not valid JSON", id="no JSON"),
        pytest.param(b"[1]", "expected an object", id="no object"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="no UTF-8"),
        pytest.param(b'{"a":' + b"[" * 50_000, "nested too deeply", id="depth bomb"),
        pytest.param(b'{"a": 1, "a": 2}', "occurs twice", id="name twice"),
        pytest.param({"a": 5}, "without dtype, shape and data_offsets", id="no entry"),
        pytest.param({"a": {"dtype": "F32"}}, "without dtype, shape and data_offsets", id="half an entry"),
        pytest.param({"a": entry("F3")}, "type 'F3' is unknown", id="unknown type"),
        pytest.param({"a": entry([])}, "is unknown", id="type is a list"),
        pytest.param({"a": entry(shape=[-2])}, "expected a list of at most 8 sizes", id="negative size"),
        pytest.param({"a": entry(shape=[2.0])}, "expected a list of at most 8 sizes", id="float size"),
        pytest.param({"a": entry(shape=[1] * 9)}, "expected a list of at most 8 sizes", id="nine dimensions"),
        pytest.param({"a": entry(shape=[1 << 61] * 8)}, "8 bytes, expected", id="size bomb"),
        pytest.param({"a": entry(offsets=[8, 0])}, "expected a start and an end", id="reversed"),
        pytest.param({"a": entry(offsets=[0])}, "expected a start and an end", id="no end"),
        pytest.param({"a": entry(offsets=[0, 7])}, "7 bytes, expected 8", id="bytes do not fit the shape"),
        pytest.param({"a": entry(offsets=[8, 16])}, "leaves a gap", id="gap"),
        pytest.param({"a": entry(), "b": entry(offsets=[4, 12])}, "overlaps", id="overlap"),
        pytest.param({"a": entry(shape=[4], offsets=[0, 16])}, "cut short", id="data missing"),
        pytest.param({}, "8 bytes after the last tensor", id="data nobody owns"),
    ],
)
def test_an_unsound_header_is_refused(tmp_path: Path, header: Any, said: str) -> None:
    path = tmp_path / "x.safetensors"
    write_raw_shard(path, header, bytes(8))
    with pytest.raises(CheckpointError, match=said) as caught:
        read_header(path)
    assert str(caught.value).startswith("x.safetensors")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_header_length_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write((200 << 20).to_bytes(8, "little"))
        file.truncate(300 << 20)
    with pytest.raises(CheckpointError, match="header of 209,715,200 bytes, expected at most"):
        read_header(path)


def test_a_name_with_control_characters_stays_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_raw_shard(path, {"a\nb\x1b[31m": entry("F3")}, bytes(8))
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    assert str(caught.value).isprintable()


def test_an_unaligned_tensor_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    data = b"\x01" + torch.tensor([1.5, -2.5]).numpy().tobytes()
    write_raw_shard(path, {"byte": entry("U8", [1], [0, 1]), "pair": entry(offsets=[1, 9])}, data)
    shard = Shard(path)
    assert shard.tensor("pair").tolist() == [1.5, -2.5]
    assert shard.tensor("byte").tolist() == [1]


def test_an_empty_tensor_has_its_shape(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_raw_shard(path, {"none": entry(shape=[0, 3], offsets=[0, 0])})
    assert Shard(path).tensor("none").shape == (0, 3)
