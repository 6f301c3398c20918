"""Rounding: ggml's bytes where they are the standard, a small error everywhere, no accident at the edges."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from moonlet.errors import CheckpointError, ShapeError
from moonlet.formats.gguf import block_type, dequantize
from moonlet.formats.gguf.bits import Floats
from moonlet.formats.gguf.quantize import QUANTIZERS, quantize, writable_types

VECTORS = Path(__file__).parents[2] / "vectors" / "gguf_quantize"
TENSORS = load_file(VECTORS / "gguf_quantize.safetensors")
WEIGHTS: Floats = TENSORS["weights"]
LLAMA_CPP_ERROR: dict[str, float] = json.loads((VECTORS / "relative_error.json").read_text())


def relative_error(kind_name: str, weights: Floats) -> float:
    kind = block_type(kind_name)
    back = dequantize(kind, quantize(kind, weights))
    return float((np.square(back - weights).sum(axis=1) / np.square(weights).sum(axis=1)).mean())


@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_the_bytes_are_those_of_the_reference_rounding(name: str) -> None:
    assert np.array_equal(quantize(block_type(name), WEIGHTS), TENSORS[name])


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_error_is_no_larger_than_the_reference_makes(name: str) -> None:
    """3 % slack: llama.cpp minimises a weighted error, ours is the plain one measured here."""
    assert relative_error(name, WEIGHTS[7:]) <= 1.03 * LLAMA_CPP_ERROR[name]


@pytest.mark.parametrize("name", QUANTIZERS)
def test_edges_give_finite_weights_of_the_right_size(name: str) -> None:
    edges = np.zeros((8, 256), dtype=np.float32)
    edges[1] = 1e-30
    edges[2, 17] = 1e-6
    edges[3, 255] = -300.0
    edges[4] = 4.0
    edges[5] = -0.25
    edges[6, ::2], edges[6, 1::2] = 100.0, -100.0
    edges[7] = np.linspace(-1, 1, 256)
    kind = block_type(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = dequantize(kind, quantize(kind, edges))
    assert np.isfinite(back).all()
    assert np.array_equal(back[0], np.zeros(256))
    # IQ1 entries are shifted by an eighth, so a zero beside a large value may come back as an eighth of it.
    assert (np.abs(back).max(axis=1) <= 1.6 * np.abs(edges).max(axis=1) + 1e-6).all()


@pytest.mark.parametrize("name", ["TQ1_0", "TQ2_0"])
def test_ternary_weights_survive_exactly(name: str) -> None:
    rng = np.random.default_rng(3)
    weights = (rng.integers(-1, 2, (4, 512)) * 0.0625).astype(np.float32)
    assert np.array_equal(dequantize(block_type(name), quantize(block_type(name), weights)), weights)


@pytest.mark.parametrize("name", [name for name in QUANTIZERS if name not in ("IQ1_S", "IQ1_M")])
def test_what_was_rounded_once_hardly_changes_again(name: str) -> None:
    once = dequantize(block_type(name), quantize(block_type(name), WEIGHTS[7:]))
    assert relative_error(name, once) <= 0.35 * relative_error(name, WEIGHTS[7:]) + 1e-6


def test_floats_round_to_nearest_even() -> None:
    values = np.array([[1.0, 1.00390625, 1.01171875, -2.5, 65519.0, np.inf, np.nan]], dtype=np.float32)
    expected = torch.from_numpy(values).to(torch.bfloat16).to(torch.float32).numpy()
    assert np.array_equal(
        dequantize(block_type("BF16"), quantize(block_type("BF16"), values)), expected, equal_nan=True
    )
    halves = values[:, :5].astype(np.float16).astype(np.float32)
    assert np.array_equal(dequantize(block_type("F16"), quantize(block_type("F16"), values[:, :5])), halves)
    assert np.array_equal(dequantize(block_type("F32"), quantize(block_type("F32"), values[:, :5])), values[:, :5])


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(ShapeError, match="multiple of 256"):
        quantize(block_type("Q4_K"), np.zeros((2, 128), dtype=np.float32))
    with pytest.raises(ShapeError, match="float32"):
        quantize(block_type("Q8_0"), np.zeros((2, 32)))
    with pytest.raises(CheckpointError, match="cannot write NVFP4"):
        quantize(block_type("NVFP4"), np.zeros((1, 64), dtype=np.float32))
    assert "Q4_0" in writable_types()
    assert "NVFP4" not in writable_types()
