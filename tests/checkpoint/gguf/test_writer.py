"""Files are whole or absent, and an interrupted run goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moonlet.checkpoint.gguf.shards import open_files
from moonlet.checkpoint.gguf.writer import TensorPlan, write_gguf
from moonlet.errors import CheckpointError
from moonlet.formats.gguf import block_type

F32 = block_type("F32")


class Source:
    """Four tensors that count how often each is made, and can break off."""

    def __init__(self, break_at: int | None = None) -> None:
        self.made = [0, 0, 0, 0]
        self.break_at = break_at

    def plans(self) -> list[TensorPlan]:
        return [TensorPlan(f"t{i}", F32, (3, 7), lambda i=i: self._pieces(i)) for i in range(4)]

    def _pieces(self, index: int) -> Iterator[bytes]:
        self.made[index] += 1
        yield bytes([index]) * 50
        if index == self.break_at:
            raise KeyboardInterrupt
        yield bytes([index]) * 34


def test_an_interrupted_file_is_continued_after_its_whole_tensors(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with pytest.raises(KeyboardInterrupt):
        write_gguf(path, {"a": 1}, Source(break_at=3).plans())
    assert not path.exists()
    source = Source()
    write_gguf(path, {"a": 1}, source.plans())
    # The last whole tensor may have been cut off from the disk, so it is written again.
    assert source.made == [0, 0, 1, 1]
    direct = tmp_path / "direct.gguf"
    write_gguf(direct, {"a": 1}, Source().plans())
    assert path.read_bytes() == direct.read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_a_partial_file_of_another_model_is_not_continued(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_gguf(tmp_path / "m.gguf", {"a": 1}, Source(break_at=3).plans())
    source = Source()
    write_gguf(tmp_path / "m.gguf", {"a": 2}, source.plans())
    assert source.made == [1, 1, 1, 1]


def test_finished_split_files_are_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_gguf(tmp_path / "m.gguf", {}, Source(break_at=2).plans(), max_bytes=100)
    source = Source()
    paths = write_gguf(tmp_path / "m.gguf", {}, source.plans(), max_bytes=100)
    assert source.made == [0, 0, 1, 1]
    files = open_files(paths[3])
    assert [list(file.entries) for file in files] == [["t0"], ["t1"], ["t2"], ["t3"]]


def test_another_file_of_that_name_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"precious")
    with pytest.raises(CheckpointError, match="exists and is another file"):
        write_gguf(tmp_path / "m.gguf", {}, Source().plans())
    assert (tmp_path / "m.gguf").read_bytes() == b"precious"


def test_a_source_that_gives_too_little_is_noticed(tmp_path: Path) -> None:
    short = TensorPlan("t", F32, (4,), lambda: [bytes(12)])
    with pytest.raises(CheckpointError, match="t: 12 bytes, expected 16"):
        write_gguf(tmp_path / "m.gguf", {}, [short])


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1000, 900, 100))
    source = Source()
    with pytest.raises(CheckpointError, match="choose another disk"):
        write_gguf(tmp_path / "m.gguf", {}, source.plans())
    assert source.made == [0, 0, 0, 0]
