"""`moonlet inspect`: what it says of sound checkpoints, and the one line it says of broken ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from moonlet.cli.main import run
from tests.fakes.checkpoints import INDEX, LAYER_1, SHARDS, TINY, copy_tiny, edit_json, edit_shard

K25 = Path(__file__).parents[3] / "shared" / "k25"

Inspect = Callable[..., tuple[int, str, str]]


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Run `moonlet inspect` with the given arguments; returns exit code, standard output and standard error."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run(["inspect", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def refusal(result: tuple[int, str, str]) -> str:
    """The one line of a refused run."""
    code, out, err = result
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
    return err


def test_the_tables_say_what_the_model_is_and_costs(inspect: Inspect) -> None:
    code, out, err = inspect(TINY)
    assert (code, err) == (0, "")
    for part in (
        "kimi_k25",
        "548 in 2 files, 9.5 MB",
        "BF16 4.8 MB, I32 4.7 MB, F32 192 B",
        "0.6 KiB a token of context",
    ):
        assert part in out
    assert "3.97 M active per token" in out
    assert "names, types and shapes" in out
    assert "tokens fit" in out
    assert "text_config.attention_dropout" in out


def test_json_holds_the_same_as_numbers(inspect: Inspect) -> None:
    code, out, err = inspect(TINY, "--json", "--check")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert report["stored"]["num_tensors"] == 548
    assert report["kv_bytes_per_token"] == 4 * 80 * 2
    assert report["config"]["text"]["kv_lora_rank"] == 64
    assert report["machine"]["plan"]["experts_fit"] is True
    assert report["values_checked"] is True
    assert report["weight_bytes"]["total"] == 9_518_912 - 3 * 16 * 3 * 8


def test_a_config_alone_is_priced(inspect: Inspect, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((TINY / "config.json").read_bytes())
    code, out, _ = inspect(tmp_path)
    assert code == 0
    assert "absent: only the facts of config.json are shown" in out
    assert "nothing to --check" in refusal(inspect(tmp_path, "--check"))


@pytest.mark.skipif(not K25.is_dir(), reason="the published files of K2.5 are not part of the repository")
def test_k25_itself_is_priced_from_its_config(inspect: Inspect) -> None:
    code, out, _ = inspect(K25)
    assert code == 0
    for part in ("1,026.41 B in the language model, 31.69 B active per token", "68.6 KiB a token", "595.1 GB"):
        assert part in out


def test_a_path_that_does_not_exist(inspect: Inspect) -> None:
    assert "/no/such/model: no such directory; give" in refusal(inspect("/no/such/model"))


def test_a_directory_without_config_json(inspect: Inspect, tmp_path: Path) -> None:
    assert "no config.json in it" in refusal(inspect(tmp_path))


def test_a_file_in_place_of_a_directory(inspect: Inspect) -> None:
    assert "not a directory; give the directory that holds config.json" in refusal(inspect(TINY / "config.json"))


def test_another_architecture_is_named(inspect: Inspect, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    said = refusal(inspect(tmp_path))
    assert "model_type 'llama' is not supported; moonlet reads kimi_k25, kimi_k2, deepseek_v3" in said


def test_a_truncated_shard(inspect: Inspect, tmp_path: Path) -> None:
    tiny = copy_tiny(tmp_path)
    os.truncate(tiny / SHARDS[0], 1_000_000)
    assert f"{SHARDS[0]}: 1,000,000 bytes, expected 5,273,720; the shard is cut short" in refusal(inspect(tiny))


def test_swapped_shards(inspect: Inspect, tmp_path: Path) -> None:
    tiny = copy_tiny(tmp_path)
    first, second = (tiny / name for name in SHARDS)
    first.rename(tiny / "other")
    second.rename(first)
    (tiny / "other").rename(second)
    assert "the two files may have been swapped" in refusal(inspect(tiny))


def test_a_tensor_of_the_wrong_shape(inspect: Inspect, tmp_path: Path) -> None:
    tiny = copy_tiny(tmp_path)
    name = f"{LAYER_1}.mlp.experts.7.down_proj.weight_packed"
    edit_shard(tiny / SHARDS[0], lambda tensors: tensors.update({name: tensors[name][:, :31].contiguous()}))
    assert f"{name}: shape [256, 31] in {SHARDS[0]}, expected [256, 32]" in refusal(inspect(tiny))


def test_an_index_that_names_a_missing_file(inspect: Inspect, tmp_path: Path) -> None:
    tiny = copy_tiny(tmp_path)
    (tiny / SHARDS[1]).unlink()
    assert f"names {SHARDS[1]} (282 tensors), which is not in" in refusal(inspect(tiny))


def test_an_index_that_points_outside(inspect: Inspect, tmp_path: Path) -> None:
    tiny = copy_tiny(tmp_path)
    edit_json(tiny / INDEX, lambda index: index["weight_map"].update(x="../../secret.safetensors"))
    assert "expected the plain name of a .safetensors file" in refusal(inspect(tiny))


def test_nan_weights_are_found_with_check(inspect: Inspect, tmp_path: Path) -> None:
    tiny = copy_tiny(tmp_path)

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["language_model.lm_head.weight"][5, 7] = float("nan")

    edit_shard(tiny / SHARDS[0], spoil)
    assert inspect(tiny)[0] == 0
    said = refusal(inspect(tiny, "--check"))
    assert f"language_model.lm_head.weight: 1 of its values are NaN or infinite ({SHARDS[0]})" in said


def test_a_hub_id_that_is_not_here_says_how_to_fetch_it(
    inspect: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    said = refusal(inspect("moonlet-test/absent"))
    assert (
        "no model of that hub id on this machine; fetch it while online with: moonlet pull moonlet-test/absent" in said
    )


def test_too_little_memory_is_said_with_numbers(inspect: Inspect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moonlet.model.memory.available_device_bytes", lambda _: 1_000_000)
    code, out, _ = inspect(TINY)
    assert code == 0
    words = " ".join(out.split())
    assert "fits no: not enough memory: the weights outside the routed experts and a minimal cache need" in words
    assert "0.0 GB available" in words


def test_no_gpu_where_one_is_asked_for(inspect: Inspect) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert "torch sees no CUDA GPU on this machine; use --device cpu" in refusal(inspect(TINY, "--device", "cuda"))
