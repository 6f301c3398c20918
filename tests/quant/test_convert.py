"""Published to GGUF and back: the same bytes; and refusals where bytes would change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from moonlet.checkpoint import Checkpoint, open_checkpoint
from moonlet.checkpoint.gguf import open_gguf
from moonlet.errors import CheckpointError
from moonlet.formats import int4g32
from moonlet.formats.gguf import block_type, dequantize
from moonlet.formats.gguf.int4 import int4_to_q4_0, int4_to_q8_0, q4_0_to_int4
from moonlet.quant import GgufChoice, convert_to_gguf, convert_to_safetensors
from tests.checkpoint.gguf.files import TINY, tiny_tokenizer, write_tiny


def same_tensors(first: Checkpoint, second: Checkpoint) -> list[str]:
    """Names whose bytes differ."""
    assert set(first.names) == set(second.names)
    return [
        name
        for name in first.names
        if not torch.equal(first.get(name).view(torch.uint8), second.get(name).view(torch.uint8))
    ]


def packed_example() -> tuple[torch.Tensor, torch.Tensor]:
    """All sixteen codes in every place of a group; scales of many exponents."""
    generator = torch.Generator().manual_seed(5)
    codes = torch.randint(-8, 8, (24, 128), generator=generator, dtype=torch.int8)
    scales = (torch.rand(24, 4, generator=generator) * 2.0 ** torch.randint(-9, 2, (24, 4), generator=generator)).to(
        torch.bfloat16
    )
    return int4g32.pack(codes), scales


def test_q4_0_holds_the_published_codes_and_scales() -> None:
    packed, scales = packed_example()
    rows = int4_to_q4_0(packed, scales, "x")
    expected = int4g32.dequantize(packed, scales)
    assert torch.equal(torch.from_numpy(dequantize(block_type("Q4_0"), rows)), expected)
    assert torch.equal(torch.from_numpy(dequantize(block_type("Q8_0"), int4_to_q8_0(packed, scales, "x"))), expected)
    back_packed, back_scales = q4_0_to_int4(rows, "x")
    assert torch.equal(back_packed, packed)
    assert torch.equal(back_scales.view(torch.int16), scales.view(torch.int16))


@pytest.mark.parametrize("scale", [1e-7, 1e6, float("nan")])
def test_a_scale_that_a_half_cannot_hold_is_refused_by_name(scale: float) -> None:
    packed, scales = packed_example()
    scales[3, 1] = scale
    with pytest.raises(CheckpointError, match=r"layers\.3\.up_proj: 1 of its scales"):
        int4_to_q4_0(packed, scales, "layers.3.up_proj")


def test_a_round_trip_gives_back_every_byte(tiny_file: Path, tmp_path: Path) -> None:
    convert_to_safetensors(open_gguf(tiny_file), tmp_path / "back")
    assert same_tensors(open_checkpoint(TINY), open_checkpoint(tmp_path / "back")) == []
    for name in ("config.json", "generation_config.json", "tokenizer_config.json", "tiktoken.model"):
        assert (tmp_path / "back" / name).read_bytes() == (TINY / name).read_bytes(), name


def test_a_round_trip_through_split_files_does_too(tmp_path: Path) -> None:
    files = write_tiny(tmp_path / "s.gguf", max_file_bytes=2_500_000)
    convert_to_safetensors(open_gguf(files[0]), tmp_path / "back")
    assert same_tensors(open_checkpoint(TINY), open_checkpoint(tmp_path / "back")) == []


def test_rounded_non_experts_change_nothing_else(tmp_path: Path) -> None:
    files = write_tiny(tmp_path / "q8.gguf", others="Q8_0")
    convert_to_safetensors(open_gguf(files[0]), tmp_path / "back")
    changed = same_tensors(open_checkpoint(TINY), open_checkpoint(tmp_path / "back"))
    assert changed
    assert all("experts." not in name or "shared_experts" in name for name in changed)
    assert all("norm" not in name and "mlp.gate." not in name for name in changed)


def test_experts_of_another_type_come_back_as_bf16(tmp_path: Path) -> None:
    files = write_tiny(tmp_path / "q8.gguf", experts="Q8_0")
    config = convert_to_safetensors(open_gguf(files[0]), tmp_path / "back")
    assert config.quantization is None
    back, published = open_checkpoint(tmp_path / "back"), open_checkpoint(TINY)
    assert back.config.quantization is None
    name = f"{config.tensor_prefix}model.layers.1.mlp.experts.3.down_proj"
    expected = int4g32.dequantize(
        published.get(f"{name}.weight_packed"), published.get(f"{name}.weight_scale"), torch.bfloat16
    )
    assert torch.equal(back.get(f"{name}.weight"), expected)


def test_a_scale_too_small_stops_the_conversion_and_names_the_tensor(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(TINY, source)
    for shard in source.glob("*.safetensors"):
        shard.chmod(0o644)
        tensors = load_file(shard)
        name = "language_model.model.layers.1.mlp.experts.0.gate_proj.weight_scale"
        if name in tensors:
            tensors[name][0, 0] = 1e-8
            save_file(tensors, shard, metadata={"format": "pt"})
    choice = GgufChoice(block_type("Q4_0"), block_type("BF16"), None)
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.experts\.0\.gate_proj: 1 of its scales"):
        convert_to_gguf(open_checkpoint(source), tiny_tokenizer(), {}, tmp_path / "m.gguf", choice)
    assert not (tmp_path / "m.gguf").exists()


def test_a_file_without_its_vision_tower_becomes_a_text_model(tmp_path: Path) -> None:
    files = write_tiny(tmp_path / "t.gguf")
    files[-1].unlink()
    config = convert_to_safetensors(open_gguf(files[0]), tmp_path / "back")
    assert config.vision is None
    assert open_checkpoint(tmp_path / "back").config.vision is None


def test_a_second_run_into_the_same_directory_changes_nothing(tiny_file: Path, tmp_path: Path) -> None:
    convert_to_safetensors(open_gguf(tiny_file), tmp_path / "back")
    with pytest.raises(CheckpointError, match="holds another model"):
        convert_to_safetensors(open_gguf(tiny_file), tmp_path / "back")
