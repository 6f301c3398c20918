"""Written checkpoints open under the strict layout; stopped runs go on; nothing foreign is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from moonlet.checkpoint import TensorSpec, open_checkpoint
from moonlet.checkpoint.index import INDEX_NAME
from moonlet.checkpoint.presets import PRESETS, mid, tiny
from moonlet.checkpoint.random_weights import random_weights
from moonlet.checkpoint.write import checkpoint_bytes, write_checkpoint
from moonlet.errors import CheckpointError, ShapeError
from moonlet.formats.int4g32 import dequantize

SHARD_BYTES = 1 << 20


def write_tiny(directory: Path, seed: int = 0) -> None:
    write_checkpoint(
        directory, tiny(), random_weights(seed), shard_bytes=SHARD_BYTES, metadata={"moonlet_random_seed": str(seed)}
    )


def test_a_written_checkpoint_opens_and_is_finite(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    checkpoint.check_values()
    assert len(checkpoint.files) > 3
    assert checkpoint.num_bytes == checkpoint_bytes(tiny())
    assert max(file.stat().st_size for file in checkpoint.files) < 2 * SHARD_BYTES


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_tiny(tmp_path / name, seed)
    shard = next((tmp_path / "a").glob("model-00002*")).name
    a, b, c = ((tmp_path / name / shard).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_weights_keep_the_size_of_what_passes_through_them(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    name = "model.layers.1.mlp.experts.0.up_proj.weight"
    expert = dequantize(checkpoint.get(f"{name}_packed"), checkpoint.get(f"{name}_scale"))
    for weight in (expert, checkpoint.get("model.layers.1.self_attn.o_proj.weight").float()):
        passed = torch.randn(64, weight.shape[1]) @ weight.T
        assert 0.7 < passed.std() < 1.5


def test_a_stopped_run_goes_on_without_rewriting_what_is_whole(tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    calls: list[str] = []
    weights = random_weights(0)

    def stopping(name: str, spec: TensorSpec) -> Tensor:
        calls.append(name)
        if len(calls) == 200:
            raise StoppedError
        return weights(name, spec)

    marks = {"moonlet_random_seed": "0"}
    with pytest.raises(StoppedError):
        write_checkpoint(tmp_path, tiny(), stopping, shard_bytes=SHARD_BYTES, metadata=marks)
    assert not (tmp_path / INDEX_NAME).exists()
    with pytest.raises(CheckpointError):
        open_checkpoint(tmp_path)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("model-*.safetensors")}
    assert kept
    write_tiny(tmp_path)
    open_checkpoint(tmp_path)
    assert all((tmp_path / name).stat().st_mtime_ns == when for name, when in kept.items())


def test_a_shard_of_another_seed_or_a_damaged_one_is_written_again(tmp_path: Path) -> None:
    write_tiny(tmp_path / "one", 1)
    write_tiny(tmp_path / "two", 2)
    shards = sorted(path.name for path in (tmp_path / "one").glob("model-*.safetensors"))
    (tmp_path / "one" / shards[0]).write_bytes((tmp_path / "two" / shards[0]).read_bytes())
    (tmp_path / "one" / shards[1]).write_bytes(b"cut")
    write_tiny(tmp_path / "one", 1)
    write_tiny(tmp_path / "again", 1)
    for name in shards[:2]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_source_that_gives_another_shape_is_a_mistake_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"\[3\] to write, expected F32 \[16\]"):
        write_checkpoint(tmp_path, tiny(), lambda *_: torch.zeros(3))


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="not empty and no model in it"):
        write_tiny(tmp_path)
    write_tiny(tmp_path / "model")
    with pytest.raises(CheckpointError, match="holds another model"):
        write_checkpoint(tmp_path / "model", mid(), random_weights(0))


def test_a_model_larger_than_the_disk_is_refused_with_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000_000})())
    with pytest.raises(CheckpointError, match=r"5\.6 GB to write, 1\.0 GB free"):
        write_checkpoint(tmp_path, mid(), random_weights(0))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_models_this_program_can_read(preset: str) -> None:
    config = PRESETS[preset]()
    assert config.text.vocab_size <= 8192
    assert checkpoint_bytes(config) < 12e9
