"""The vision tower in a GGUF file: the same facts and weights as published, and refusals by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moonlet.checkpoint import Checkpoint, open_checkpoint
from moonlet.checkpoint.gguf import find_mmproj, open_gguf, open_mmproj, vision_of
from moonlet.checkpoint.gguf.mmproj import mmproj_metadata
from moonlet.checkpoint.gguf.mmproj_names import interleave_axes, mmproj_name, split_axes
from moonlet.checkpoint.gguf.writer import Fact, TensorPlan, write_gguf
from moonlet.checkpoint.layout import TensorSpec, vision_layout
from moonlet.config import EngineOptions, VisionConfig
from moonlet.engine.load import load_model
from moonlet.errors import CheckpointError, ConfigError, OptionError
from moonlet.formats.gguf import block_type
from moonlet.model.vision import Grid, TorchVisionOps, VisionItem, VisionModel, bind_vision_weights
from moonlet.quant.to_mmproj import convert_to_mmproj
from tests.checkpoint.gguf.files import TINY
from tests.kernels.compare import assert_close


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    return open_checkpoint(TINY)


@pytest.fixture(scope="module")
def vision(tiny: Checkpoint) -> VisionConfig:
    assert tiny.config.vision is not None
    return tiny.config.vision


def write_zeros(
    path: Path, config: VisionConfig, facts: dict[str, Fact], layout: dict[str, TensorSpec] | None = None
) -> Path:
    """A file of zeros with the layout and facts given, however wrong."""
    f32 = block_type("F32")
    plans = [
        TensorPlan(mmproj_name(name), f32, spec.shape, lambda shape=spec.shape: [torch.zeros(shape).numpy().tobytes()])
        for name, spec in (vision_layout(config) if layout is None else layout).items()
    ]
    metadata: dict[str, Fact] = {"general.architecture": "clip", **mmproj_metadata(config), **facts}
    write_gguf(path, metadata, plans)
    return path


def test_queries_and_keys_stand_column_pairs_first_in_the_file() -> None:
    heads, pairs, inputs = 3, 4, 5
    width = 4 * pairs
    published = torch.arange(3 * heads * width * inputs).view(3 * heads * width, inputs)
    stored = split_axes(published, heads)
    for part in range(3):
        for head in range(heads):
            for axis in range(2):
                for pair in range(pairs):
                    for channel in range(2):
                        start = (part * heads + head) * width
                        at = start + (axis * pairs + pair) * 2 + channel
                        # Values are not rotated, so they stay where they are.
                        came_from = at if part == 2 else start + (pair * 2 + axis) * 2 + channel
                        assert torch.equal(stored[at], published[came_from])
    assert torch.equal(interleave_axes(stored, heads), published)
    bias = torch.arange(3 * heads * width)
    assert torch.equal(interleave_axes(split_axes(bias, heads), heads), bias)


def test_facts_and_weights_come_back_as_published(tiny: Checkpoint, vision: VisionConfig, tmp_path: Path) -> None:
    found = open_mmproj(convert_to_mmproj(tiny, tmp_path / "mmproj.gguf", block_type("BF16")))
    assert found.config == vision
    for name, spec in vision_layout(vision).items():
        assert found.get(name).shape == spec.shape
        assert torch.equal(found.get(name), tiny.get(name)), name


@pytest.mark.parametrize(("kind", "tolerance"), [("F32", 0.0), ("F16", 1e-6), ("BF16", 0.0), ("Q8_0", 0.02)])
def test_features_are_those_of_the_published_files(
    tiny: Checkpoint, vision: VisionConfig, tmp_path: Path, kind: str, tolerance: float
) -> None:
    file = open_mmproj(convert_to_mmproj(tiny, tmp_path / "mmproj.gguf", block_type(kind)))
    generator = torch.Generator().manual_seed(3)
    item = VisionItem(torch.rand(2 * 24, 3, 14, 14, generator=generator) * 2 - 1, Grid(2, 4, 6))
    expected, found = (
        VisionModel(vision, bind_vision_weights(vision, get), TorchVisionOps()).encode([item])[0]
        for get in (tiny.get, file.get)
    )
    # Q8_0 rounds weights by 0.4 % of the largest of 32; F16 loses of BF16 only what is nearly zero.
    assert_close(found, expected, tolerance)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda layout: layout.pop("vision_tower.encoder.blocks.2.wo.bias"), r"v\.blk\.2\.attn_out\.bias: missing"),
        (
            lambda layout: layout.update({"mm_projector.proj.0.bias": TensorSpec((8,), "F32")}),
            r"mm\.1\.bias: shape \[8\].*expected \[256\]",
        ),
        (
            lambda layout: layout.update({"vision_tower.encoder.blocks.9.wo.bias": TensorSpec((8,), "F32")}),
            r"v\.blk\.9\.attn_out\.bias: in .* not part",
        ),
        (lambda layout: layout.pop("vision_tower.patch_embed.pos_emb.weight"), r"v\.position_embd\.weight: missing"),
    ],
)
def test_a_wrong_layout_is_refused_by_name(
    vision: VisionConfig, tmp_path: Path, damage: Callable[[dict[str, TensorSpec]], object], message: str
) -> None:
    layout = vision_layout(vision)
    damage(layout)
    path = write_zeros(tmp_path / "mmproj.gguf", vision, {}, layout)
    with pytest.raises(CheckpointError, match=message):
        open_mmproj(path)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"clip.projector_type": "qwen2vl_merger"}, "projector type 'qwen2vl_merger', expected 'kimik25'"),
        ({"clip.vision.image_mean": [0.5, 0.4, 0.5]}, r"mmproj\.gguf: clip\.vision\.image_mean"),
        ({"clip.vision.attention.head_count": 0}, "vt_num_attention_heads is 0"),
        ({"clip.vision.projector.scale_factor": 3}, r"merge_kernel_size is \[3, 3\]"),
    ],
)
def test_impossible_facts_are_refused_by_name(
    vision: VisionConfig, tmp_path: Path, facts: dict[str, Fact], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_mmproj(write_zeros(tmp_path / "mmproj.gguf", vision, facts))


def test_a_value_that_is_no_number_is_found(tmp_path: Path, tiny: Checkpoint) -> None:
    path = convert_to_mmproj(tiny, tmp_path / "mmproj.gguf", block_type("F32"))
    open_mmproj(path).check_values()
    with path.open("r+b") as file:
        file.seek(-64 * 4, 2)
        file.write(b"\xff" * 4)
    with pytest.raises(CheckpointError, match=r"mm\.2\.bias: 1 of its values"):
        open_mmproj(path).check_values()


def test_the_file_beside_a_model_is_found_and_one_of_another_model_is_not(
    tiny_file: Path, vision: VisionConfig, tmp_path: Path
) -> None:
    text = open_gguf(tiny_file).config.text
    model = tmp_path / "model.gguf"
    write_zeros(tmp_path / "mmproj-other.gguf", replace(vision, text_hidden_size=128), {})
    assert find_mmproj(model, text) is None
    for name in ("mmproj-F32.gguf", "mmproj-BF16.gguf"):
        write_zeros(tmp_path / name, vision, {})
    found = find_mmproj(model, text)
    assert found is not None
    assert found.path.name == "mmproj-BF16.gguf"


def test_a_gguf_model_sees_with_the_file_beside_it_or_the_one_named(
    tiny_file: Path, vision: VisionConfig, tmp_path: Path
) -> None:
    options = EngineOptions(context_length=64, reference=True)
    loaded = load_model(tiny_file, options)
    published = load_model(TINY, options)
    item = VisionItem(torch.linspace(-1, 1, 4 * 588).view(4, 3, 14, 14), Grid(1, 2, 2))
    assert loaded.vision is not None
    assert published.vision is not None
    assert torch.equal(loaded.vision.encode([item])[0], published.vision.encode([item])[0])
    assert loaded.config.media_placeholder_token_id == published.config.media_placeholder_token_id
    assert loaded.plan.vision_bytes == published.plan.vision_bytes > 0
    named = write_zeros(tmp_path / "zeros.gguf", vision, {})
    blind = load_model(tiny_file, replace(options, mmproj=str(named)))
    assert blind.vision is not None
    assert not blind.vision.encode([item])[0].any()


def test_a_named_file_that_does_not_fit_is_refused(tiny_file: Path, vision: VisionConfig, tmp_path: Path) -> None:
    other = write_zeros(tmp_path / "other.gguf", replace(vision, text_hidden_size=128), {})
    with pytest.raises(ConfigError, match=r"projection_dim is 128, expected 256"):
        vision_of(open_gguf(tiny_file), str(other))
    with pytest.raises(CheckpointError, match="no such file"):
        vision_of(open_gguf(tiny_file), str(tmp_path / "absent.gguf"))
    with pytest.raises(OptionError, match="mmproj"):
        load_model(TINY, EngineOptions(mmproj=str(other)))
