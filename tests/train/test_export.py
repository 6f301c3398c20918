"""The export: published names and types, and exactly the weights that training saw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from moonlet.checkpoint.layout import expected_layout
from moonlet.config import load_model_config
from moonlet.errors import CheckpointError
from moonlet.formats import int4g32
from moonlet.train.export import export_checkpoint, import_checkpoint
from moonlet.train.network import NanoModel
from moonlet.train.quantise import dequantised, fake_quantised, int4_groups
from moonlet.train.shape import NanoShape
from moonlet.train.vocabulary import Vocabulary

DTYPES = {"BF16": torch.bfloat16, "F32": torch.float32, "I32": torch.int32}


@pytest.fixture
def model(shape: NanoShape) -> NanoModel:
    return NanoModel(shape, torch.Generator().manual_seed(1))


def test_it_is_the_layout_that_the_reader_demands(
    model: NanoModel, shape: NanoShape, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    export_checkpoint(model.state_dict(), shape, vocabulary, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    layout = expected_layout(load_model_config(tmp_path))
    assert tensors.keys() == layout.keys()
    for name, spec in layout.items():
        assert tuple(tensors[name].shape) == spec.shape, name
        assert tensors[name].dtype == DTYPES[spec.dtype], name
        if spec.contents is not None:
            assert tuple(tensors[name].tolist()) == spec.contents
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == tensors.keys()
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in tensors.values())


def test_experts_come_back_bit_for_bit_as_training_saw_them(
    model: NanoModel, shape: NanoShape, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    state = model.state_dict()
    export_checkpoint(state, shape, vocabulary, tmp_path)
    weights, read_shape = import_checkpoint(tmp_path)
    assert read_shape == shape
    assert weights.keys() == state.keys()
    for name, tensor in weights.items():
        if ".mlp.experts." in name:
            assert torch.equal(tensor, fake_quantised(state[name])), name
        elif name.endswith("e_score_correction_bias"):
            assert torch.equal(tensor, state[name])
        else:
            assert torch.equal(tensor, state[name].to(torch.bfloat16).float()), name


def test_exporting_an_import_changes_nothing(
    model: NanoModel, shape: NanoShape, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    export_checkpoint(model.state_dict(), shape, vocabulary, tmp_path / "a")
    export_checkpoint(import_checkpoint(tmp_path / "a")[0], shape, vocabulary, tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_codes_follow_the_same_rule_as_the_number_format() -> None:
    weight = torch.randn(6, 64, generator=torch.Generator().manual_seed(0))
    weight[2, :32] = 0.0
    codes, scales = int4_groups(weight)
    packed, expected_scales = int4g32.quantize(weight)
    assert torch.equal(int4g32.pack(codes.to(torch.int8)), packed)
    assert torch.equal(scales, expected_scales)
    assert torch.equal(dequantised(codes, scales), int4g32.dequantize(packed, scales))
    assert codes.abs().max() == 7


def test_gradients_pass_the_rounding_unchanged() -> None:
    weight = torch.randn(4, 32, requires_grad=True)
    (fake_quantised(weight) * 3.0).sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.full_like(weight, 3.0))


def test_a_folder_without_weights_is_refused_by_name(
    model: NanoModel, shape: NanoShape, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    export_checkpoint(model.state_dict(), shape, vocabulary, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: no such file"):
        import_checkpoint(tmp_path)
