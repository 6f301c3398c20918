"""Opening a checkpoint: sound ones are mapped, broken ones are refused by name before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from moonlet.checkpoint import open_checkpoint
from moonlet.errors import CheckpointError
from tests.fakes.checkpoints import INDEX, LAYER_1, SHARDS, TINY, copy_tiny, edit_json, edit_shard

Damage = Callable[[Path], None]


def refusal(directory: Path) -> str:
    """The one line with which opening `directory` fails."""
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(directory)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_tensor_equals_what_the_library_reads() -> None:
    checkpoint = open_checkpoint(TINY)
    assert len(checkpoint.names) == 548
    assert checkpoint.num_bytes == 9_518_912
    for shard in SHARDS:
        with safe_open(TINY / shard, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                expected = file.get_tensor(name)
                found = checkpoint.get(name)
                assert found.dtype == expected.dtype
                assert torch.equal(found, expected), name


def test_tensors_are_views_of_the_mapped_file_and_outlive_the_checkpoint() -> None:
    checkpoint = open_checkpoint(TINY)
    tensor = checkpoint.get("language_model.lm_head.weight")
    del checkpoint
    maps = Path("/proc/self/maps").read_text()
    regions = [
        (int(low, 16), int(high, 16)) for low, high in re.findall(rf"(\w+)-(\w+) .*{re.escape(SHARDS[0])}", maps)
    ]
    assert any(low <= tensor.data_ptr() < high for low, high in regions)
    assert torch.isfinite(tensor.float()).all()


def test_getting_tensors_reads_nothing_into_memory(tmp_path: Path) -> None:
    big = tmp_path / "big.safetensors"
    save_file({"big": torch.zeros(64 << 20, dtype=torch.uint8)}, big)
    from moonlet.checkpoint.shard import Shard

    before = _resident_bytes()
    tensor = Shard(big).tensor("big")
    # The mapped file is 64 MiB; a copy, or a mapping read ahead, would show.
    assert _resident_bytes() - before < 16 << 20
    assert tensor.numel() == 64 << 20


def _resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def test_a_single_file_needs_no_index(tmp_path: Path) -> None:
    tiny = copy_tiny(tmp_path)
    tensors = {name: tensor for shard in SHARDS for name, tensor in load_file(tiny / shard).items()}
    for name in (*SHARDS, INDEX):
        (tiny / name).unlink()
    save_file(tensors, tiny / "model.safetensors")
    assert len(open_checkpoint(tiny).names) == 548


def test_a_name_the_checkpoint_lacks_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^nothing\.weight: not in"):
        open_checkpoint(TINY).get("nothing.weight")


def _truncate(num_bytes: int) -> Damage:
    def damage(tiny: Path) -> None:
        data = (tiny / SHARDS[1]).read_bytes()
        (tiny / SHARDS[1]).write_bytes(data[:num_bytes] if num_bytes >= 0 else data[: len(data) + num_bytes])

    return damage


def _swap(tiny: Path) -> None:
    first, second = ((tiny / name).read_bytes() for name in SHARDS)
    (tiny / SHARDS[0]).write_bytes(second)
    (tiny / SHARDS[1]).write_bytes(first)


def _point_index_elsewhere(name: str) -> Damage:
    def damage(tiny: Path) -> None:
        edit_json(tiny / INDEX, lambda index: index["weight_map"].update({"language_model.lm_head.weight": name}))

    return damage


def _shard(change: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
    return lambda tiny: edit_shard(tiny / SHARDS[0], change)


def _replace(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    return _shard(lambda tensors: tensors.update({name: change(tensors[name])}))


def _forget(name: str) -> Damage:
    """Remove a tensor from shard and index alike, so that only the layout can miss it."""

    def damage(tiny: Path) -> None:
        edit_shard(tiny / SHARDS[0], lambda tensors: tensors.pop(name))
        edit_json(tiny / INDEX, lambda index: index["weight_map"].pop(name))

    return damage


def _add(tiny: Path) -> None:
    edit_shard(tiny / SHARDS[0], lambda tensors: tensors.update({"language_model.extra.weight": torch.zeros(3)}))
    edit_json(tiny / INDEX, lambda index: index["weight_map"].update({"language_model.extra.weight": SHARDS[0]}))


def _duplicate(tiny: Path) -> None:
    norm = load_file(tiny / SHARDS[1])["language_model.model.norm.weight"]
    edit_shard(tiny / SHARDS[0], lambda tensors: tensors.update({"language_model.model.norm.weight": norm}))


HEAD = "language_model.lm_head.weight"
PACKED = f"{LAYER_1}.mlp.experts.7.up_proj.weight_packed"
SHAPE = f"{LAYER_1}.mlp.experts.7.up_proj.weight_shape"
BIAS = f"{LAYER_1}.mlp.gate.e_score_correction_bias"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(_truncate(-1), rf"^{SHARDS[1]}: .*cut short", id="last byte lost"),
        pytest.param(_truncate(5000), rf"^{SHARDS[1]}: .*cut short", id="cut inside the header"),
        pytest.param(_truncate(4), rf"^{SHARDS[1]}: 4 bytes, expected 8; .*cut short", id="cut inside the length"),
        pytest.param(_truncate(0), rf"^{SHARDS[1]}: 0 bytes, .*cut short", id="empty file"),
        pytest.param(_swap, r"in model-0000\d-.*, expected in model-0000\d-.*swapped", id="shards swapped"),
        pytest.param(
            lambda tiny: (tiny / SHARDS[0]).unlink(), rf"names {SHARDS[0]} \(266 tensors\)", id="missing file"
        ),
        pytest.param(_point_index_elsewhere(SHARDS[1]), rf"^{HEAD}: in {SHARDS[0]}, expected in", id="wrong shard"),
        pytest.param(_point_index_elsewhere("../x.safetensors"), "expected the plain name", id="path traversal"),
        pytest.param(_point_index_elsewhere("/etc/x.safetensors"), "expected the plain name", id="absolute path"),
        pytest.param(_point_index_elsewhere("a\0.safetensors"), "expected the plain name", id="nul in name"),
        pytest.param(_point_index_elsewhere("config.json"), "expected the plain name", id="another kind of file"),
        pytest.param(lambda tiny: edit_json(tiny / INDEX, dict.clear), "no weight_map", id="index without map"),
        pytest.param(_shard(lambda t: t.pop(HEAD)), rf"^{HEAD}: not in {SHARDS[0]}", id="tensor not in its shard"),
        pytest.param(_forget(HEAD), rf"^{HEAD}: missing, expected by config.json", id="tensor missing"),
        pytest.param(_add, r"^language_model.extra.weight: .*not part of the model", id="tensor too many"),
        pytest.param(
            _shard(lambda t: t.update({"stray": torch.zeros(1)})),
            r"^stray: .*not in model.*index",
            id="unindexed tensor",
        ),
        pytest.param(_duplicate, r"norm.weight: in both .* and ", id="tensor twice"),
        pytest.param(
            _replace(PACKED, lambda t: t[:, :-1].contiguous()),
            rf"^{PACKED}: shape \[256, 31\].*\[256, 32\]",
            id="shape",
        ),
        pytest.param(_replace(BIAS, lambda t: t.bfloat16()), rf"^{BIAS}: type BF16 .*expected F32", id="type"),
        pytest.param(_replace(HEAD, lambda t: t.half()), rf"^{HEAD}: type F16 .*expected BF16", id="float16"),
        pytest.param(_replace(SHAPE, lambda t: t * 2), rf"^{SHAPE}: holds \[512, 512\], expected", id="stored shape"),
    ],
)
def test_damage_is_refused_by_name(tmp_path: Path, damage: Damage, said: str) -> None:
    tiny = copy_tiny(tmp_path)
    damage(tiny)
    assert re.search(said, refusal(tiny)), refusal(tiny)


def test_many_missing_tensors_are_counted(tmp_path: Path) -> None:
    tiny = copy_tiny(tmp_path)
    edit_json(tiny / "config.json", lambda config: config["text_config"].update(num_hidden_layers=5))
    assert re.search(r"layers\.4\..*: missing \(and \d+ others\)", refusal(tiny))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("model-00001-of-000002.safetensors", "only safetensors files without their index"),
        ("model.gguf", "only GGUF files, which are given by their own name"),
        ("pytorch_model.bin", "only PyTorch .bin files"),
        ("README.md", "no weights in it, expected model.safetensors.index.json"),
    ],
)
def test_a_directory_without_usable_weights_says_what_it_has(tmp_path: Path, file: str, said: str) -> None:
    (tmp_path / "config.json").write_bytes((TINY / "config.json").read_bytes())
    (tmp_path / file).touch()
    assert said in refusal(tmp_path)


def test_nan_and_infinity_are_found_on_request_only(tmp_path: Path) -> None:
    tiny = copy_tiny(tmp_path)
    scale = f"{LAYER_1}.mlp.experts.0.down_proj.weight_scale"

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors[scale][3, 1] = float("nan")
        tensors[scale][5, 0] = float("inf")

    edit_shard(tiny / SHARDS[0], spoil)
    checkpoint = open_checkpoint(tiny)
    with pytest.raises(CheckpointError, match=rf"^{scale}: 2 of its values are NaN or infinite"):
        checkpoint.check_values()


def test_checking_values_reports_progress_up_to_the_whole() -> None:
    seen: list[tuple[int, int]] = []
    open_checkpoint(TINY).check_values(lambda done, total: seen.append((done, total)))
    assert len(seen) == 548
    assert seen[-1] == (9_518_912, 9_518_912)
