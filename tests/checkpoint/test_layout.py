"""The strict layout reproduces what is published."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from moonlet.checkpoint import expected_layout
from moonlet.checkpoint.write import spec_bytes
from moonlet.config import load_model_config, parse_model_config
from tests.fakes.checkpoints import INDEX, TINY

K25 = Path(__file__).parents[3] / "shared" / "k25"
SAFETENSORS_NAMES = {"bfloat16": "BF16", "float32": "F32", "int32": "I32"}


def test_the_tiny_checkpoint_holds_exactly_the_layout() -> None:
    names = json.loads((TINY / INDEX).read_text())["weight_map"]
    layout = expected_layout(load_model_config(TINY))
    assert set(names) == set(layout)
    assert sum(spec_bytes(spec) for spec in layout.values()) == 9_518_912


@pytest.mark.skipif(not K25.is_dir(), reason="the published files of K2.5 are not part of the repository")
def test_the_layout_of_k25_is_its_public_listing() -> None:
    layout = expected_layout(load_model_config(K25))
    listing = json.loads((K25 / "checkpoint_tensors.json").read_text())
    assert len(layout) == listing["tensor_count"] == 208_550
    assert sum(math.prod(spec.shape) for spec in layout.values()) == 170_738_182_128
    assert sum(spec_bytes(spec) for spec in layout.values()) == listing["total_bytes"]
    for tensor in listing["tensors"]:
        name = tensor["name"].format(layer=60, expert=383, block=26)
        assert (layout[name].shape, layout[name].dtype) == (tuple(tensor["shape"]), SAFETENSORS_NAMES[tensor["dtype"]])
    families = [(tensor["name"].split("{")[0], tensor["count"]) for tensor in listing["tensors"]]
    assert sum(count for _, count in families) == len(layout)


def test_text_only_models_have_no_prefix_and_unquantised_experts_are_plain() -> None:
    text = json.loads((TINY / "config.json").read_text())["text_config"]
    packed = expected_layout(parse_model_config(text))
    assert "model.layers.1.mlp.experts.0.up_proj.weight_packed" in packed
    assert not any(name.startswith(("language_model.", "vision_tower.", "mm_projector.")) for name in packed)
    del text["quantization_config"]
    plain = expected_layout(parse_model_config(text))
    assert plain["model.layers.1.mlp.experts.0.up_proj.weight"].shape == (256, 256)
    assert not any(name.endswith("weight_packed") for name in plain)
