"""A whole model: facts, tensors under published names, split files, and refusals by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moonlet.checkpoint import open_checkpoint
from moonlet.checkpoint.gguf import open_gguf
from moonlet.checkpoint.gguf.model_config import model_metadata
from moonlet.checkpoint.gguf.shards import open_files
from moonlet.checkpoint.gguf.writer import Fact, TensorPlan, write_gguf
from moonlet.errors import CheckpointError, ConfigError
from moonlet.formats import int4g32
from moonlet.formats.gguf import block_type
from tests.checkpoint.gguf.files import TINY, tiny_tokenizer, write_tiny


def test_the_facts_of_the_config_come_back(tiny_file: Path) -> None:
    published = open_checkpoint(TINY).config.text
    found = open_gguf(tiny_file).config
    # [EOS] of the tokenizer is a stop id too; the order does not matter.
    assert set(published.eos_token_ids) <= set(found.text.eos_token_ids)
    assert replace(found.text, eos_token_ids=published.eos_token_ids) == published
    assert (found.model_type, found.vision, found.quantization) == ("kimi_k2", None, None)


def test_every_tensor_but_the_experts_is_found_under_its_published_name(tiny_file: Path) -> None:
    published, found = open_checkpoint(TINY), open_gguf(tiny_file)
    prefix = published.config.tensor_prefix
    wanted = {name for name in published.names if name.startswith(prefix) and ".mlp.experts." not in name}
    assert {prefix + name for name in found.names} == wanted
    for name in found.names:
        expected = published.get(prefix + name)
        tensor = found.get(name)
        assert tensor.dtype == expected.dtype
        assert torch.equal(tensor, expected), name
        assert found.entry(name).num_bytes == expected.nbytes


def test_experts_are_the_published_ones(tiny_file: Path) -> None:
    published, found = open_checkpoint(TINY), open_gguf(tiny_file)
    layer = found.experts(2)
    for matrix, stack in (("gate_proj", layer.gate_proj), ("up_proj", layer.up_proj), ("down_proj", layer.down_proj)):
        name = f"{published.config.tensor_prefix}model.layers.2.mlp.experts.5.{matrix}"
        expected = int4g32.dequantize(published.get(f"{name}.weight_packed"), published.get(f"{name}.weight_scale"))
        assert torch.equal(stack[5].dequantize(), expected)


def test_stored_tensors_are_views_of_the_file(tiny_file: Path) -> None:
    stored = open_gguf(tiny_file).stored("token_embd.weight")
    assert stored.dequantize(torch.bfloat16).data_ptr() == stored.rows.data_ptr()


def rewritten(source: Path, target: Path, changes: dict[str, TensorPlan | None], drop: tuple[str, ...]) -> Path:
    """`source` with other tensors and without some metadata, as an older or another program would have written it."""
    file = open_files(source)[0]
    plans: list[TensorPlan] = []
    for name, entry in file.entries.items():
        rows = file.rows(name)
        kept = TensorPlan(name, entry.kind, entry.shape, lambda rows=rows: [rows.flatten().numpy().data])
        plan = changes.get(name, kept)
        if plan is not None:
            plans.append(plan)
    plans.extend(plan for name, plan in changes.items() if plan is not None and name not in file.entries)
    write_gguf(target, {key: value for key, value in facts().items() if key not in drop}, plans)
    return target


def as_bf16(name: str, tensor: torch.Tensor) -> TensorPlan:
    raw = tensor.contiguous().view(torch.uint8).flatten().numpy().data
    return TensorPlan(name, block_type("BF16"), tuple(tensor.shape), lambda: [raw])


def test_older_files_with_kv_b_in_one_piece_are_read(
    tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = open_gguf(tiny_file)
    changes: dict[str, TensorPlan | None] = {}
    for layer_idx in range(4):
        whole = new.get(f"model.layers.{layer_idx}.self_attn.kv_b_proj.weight")
        changes[f"blk.{layer_idx}.attn_kv_b.weight"] = as_bf16(f"blk.{layer_idx}.attn_kv_b.weight", whole)
        if layer_idx:  # one layer keeps the parts as well, as ik_llama.cpp's files do
            changes |= {f"blk.{layer_idx}.attn_k_b.weight": None, f"blk.{layer_idx}.attn_v_b.weight": None}
    text = new.config.text
    lengths = {
        "deepseek2.attention.key_length": text.qk_head_dim,
        "deepseek2.attention.value_length": text.v_head_dim,
    }
    everything = facts()
    monkeypatch.setattr("tests.checkpoint.gguf.test_checkpoint.facts", lambda: {**everything, **lengths})
    mla = ("deepseek2.attention.key_length_mla", "deepseek2.attention.value_length_mla")
    old = open_gguf(rewritten(tiny_file, tmp_path / "old.gguf", changes, mla))
    assert old.config.text == new.config.text
    for name in new.names:
        assert torch.equal(old.get(name), new.get(name)), name


def test_gate_and_up_stacked_in_one_tensor_are_read(tiny_file: Path, tmp_path: Path) -> None:
    new = open_gguf(tiny_file)
    changes: dict[str, TensorPlan | None] = {}
    for layer_idx in (1, 2, 3):
        layer = new.experts(layer_idx)
        both = torch.cat([layer.gate_proj.rows, layer.up_proj.rows], dim=1)
        experts, rows, columns = layer.gate_proj.shape
        raw = both.flatten().numpy().data
        name = f"blk.{layer_idx}.ffn_gate_up_exps.weight"
        shape = (experts, 2 * rows, columns)
        changes[name] = TensorPlan(name, layer.gate_proj.kind, shape, lambda raw=raw: [raw])
        changes |= {f"blk.{layer_idx}.ffn_gate_exps.weight": None, f"blk.{layer_idx}.ffn_up_exps.weight": None}
    fused = open_gguf(rewritten(tiny_file, tmp_path / "fused.gguf", changes, ()))
    for expert_id in (0, 15):
        for part in ("gate_proj", "up_proj", "down_proj"):
            expected, found = getattr(new.experts(3), part), getattr(fused.experts(3), part)
            assert torch.equal(found[expert_id].dequantize(), expected[expert_id].dequantize())


def test_split_files_are_one_model(tiny_file: Path, tmp_path: Path) -> None:
    files = write_tiny(tmp_path / "split.gguf", max_file_bytes=2_000_000)
    ggufs = [path for path in files if not path.name.startswith("mmproj")]
    assert len(ggufs) > 2
    assert ggufs[0].name == f"split-00001-of-{len(ggufs):05d}.gguf"
    whole, split = open_gguf(tiny_file), open_gguf(ggufs[1])
    assert set(split.stored_names) == set(whole.stored_names)
    assert torch.equal(split.get("lm_head.weight"), whole.get("lm_head.weight"))
    ggufs[2].unlink()
    with pytest.raises(CheckpointError, match=ggufs[2].name):
        open_gguf(ggufs[0])


def test_split_files_under_each_others_names_are_refused(tmp_path: Path) -> None:
    files = [
        path for path in write_tiny(tmp_path / "s.gguf", max_file_bytes=3_000_000) if not path.name.startswith("mmproj")
    ]
    spare = tmp_path / "spare"
    files[1].rename(spare)
    files[2].rename(files[1])
    spare.rename(files[2])
    with pytest.raises(CheckpointError, match="renamed or mixed"):
        open_gguf(files[0])


def test_an_infinite_scale_is_found_and_named(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "m.gguf")[0]
    checkpoint = open_gguf(path)
    seen: list[tuple[int, int]] = []
    checkpoint.check_values(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (checkpoint.num_bytes, checkpoint.num_bytes)
    start = open_files(path)[0].entries["blk.2.ffn_up_exps.weight"].start
    data = bytearray(path.read_bytes())
    data[start : start + 2] = b"\x00\x7c"  # a half's infinity as the first block's scale
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"blk\.2\.ffn_up_exps\.weight: 32 of its values"):
        open_gguf(path).check_values()


def facts() -> dict[str, Fact]:
    from moonlet.checkpoint.gguf.tokenizer import tokenizer_metadata

    config = open_checkpoint(TINY).config
    return {
        "general.architecture": "deepseek2",
        **model_metadata(config),
        **tokenizer_metadata(tiny_tokenizer(), config.text.eos_token_ids),
    }


def one_tensor() -> list[TensorPlan]:
    return [TensorPlan("x", block_type("F32"), (8,), lambda: [bytes(32)])]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"general.architecture": "llama"}, "'llama', expected 'deepseek2'"),
        ({"general.architecture": "clip"}, "mmproj"),
        ({"deepseek2.expert_gating_func": 1}, "sigmoid"),
        ({"deepseek2.block_count": None}, "block_count is missing"),
        ({"deepseek2.block_count": "four"}, "expected a whole number"),
        ({"deepseek2.block_count": 1 << 31}, "expected a value from 1 to"),
        ({"deepseek2.expert_used_count": 4000}, "expected a value from 1 to 16"),
        ({"deepseek2.nextn_predict_layers": 1}, "multi-token prediction"),
        ({"deepseek2.rope.scaling.yarn_ext_factor": 0.5}, "expected 1"),
        ({"deepseek2.attention.layer_norm_rms_epsilon": float("nan")}, "finite"),
        ({"tokenizer.ggml.pre": "qwen2"}, "kimi-k2"),
        ({"tokenizer.ggml.model": "llama"}, "gpt2"),
        ({"tokenizer.ggml.token_type": [1, 1]}, "token types"),
        ({"tokenizer.ggml.bos_token_id": 3}, "special token"),
        ({}, "token_embd.weight: missing"),
    ],
)
def test_a_wrong_fact_is_refused_by_name(change: dict[str, Fact | None], message: str, tmp_path: Path) -> None:
    changed = {key: value for key, value in {**facts(), **change}.items() if value is not None}
    write_gguf(tmp_path / "m.gguf", changed, one_tensor())
    with pytest.raises((CheckpointError, ConfigError), match=message) as error:
        open_gguf(tmp_path / "m.gguf")
    assert "m.gguf" in str(error.value)


def test_a_file_that_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        open_gguf(tmp_path / "nothing.gguf")
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(CheckpointError, match="empty"):
        open_gguf(tmp_path / "empty.gguf")
