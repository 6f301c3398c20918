"""Every block type against the reference bytes, and the int8 view against the plain one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from moonlet.errors import CheckpointError, ShapeError
from moonlet.formats.gguf import BLOCK_TYPES, block_type, block_type_numbered, dequantize, expand
from moonlet.formats.gguf.matrix import BlockMatrix

VECTORS = Path(__file__).parents[2] / "vectors" / "gguf_dequant"
FACTS = json.loads((VECTORS / "gguf_dequant.json").read_text())
TENSORS = load_file(VECTORS / "gguf_dequant.safetensors")


@pytest.mark.parametrize("name", FACTS)
def test_the_table_has_the_published_sizes(name: str) -> None:
    kind = block_type(name)
    facts = FACTS[name]
    assert (kind.ggml_type, kind.block_weights, kind.block_bytes) == (
        facts["ggml_type"],
        facts["block_size"],
        facts["type_size"],
    )
    assert block_type_numbered(kind.ggml_type) is kind


@pytest.mark.parametrize("name", FACTS)
def test_float32_is_bit_identical_with_the_reference(name: str) -> None:
    found = dequantize(block_type(name), TENSORS[f"{name}.raw"])
    expected = TENSORS[f"{name}.f32"]
    difference = np.abs(found - expected)
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32)), (difference.max(), difference.mean())


@pytest.mark.parametrize("name", [name for name in FACTS if block_type(name).expand is not None])
def test_codes_scales_and_minimums_alone_give_the_reference(name: str) -> None:
    """The promise the kernels build on, written out: code * scale - minimum in float32, two roundings."""
    kind = block_type(name)
    groups = expand(kind, TENSORS[f"{name}.raw"])
    assert groups.codes.dtype == np.int8
    assert groups.codes.shape == (groups.scales.shape[0], kind.block_weights)
    assert groups.scales.shape[1] * kind.group_weights == kind.block_weights or groups.scales.shape[1] == 1
    per_weight = kind.block_weights // groups.scales.shape[1]
    assert per_weight in (16, 32)
    expected = TENSORS[f"{name}.f32"].reshape(groups.codes.shape)
    for block, column in [(0, 0), (0, kind.block_weights - 1), (groups.codes.shape[0] - 1, kind.block_weights // 2)]:
        group = column // per_weight
        weight = np.float32(groups.codes[block, column]) * groups.scales[block, group]
        if groups.minimums is not None:
            weight = weight - groups.minimums[block, group]
        assert weight == expected[block, column]


def test_floats_are_read_as_they_are() -> None:
    values = np.array([[0.0, -1.5, 3.0e-5, 65504.0]], dtype=np.float32)
    assert np.array_equal(dequantize(block_type("F32"), values.view(np.uint8)), values)
    assert np.array_equal(
        dequantize(block_type("F16"), values.astype(np.float16).view(np.uint8)), values.astype(np.float16)
    )


def test_a_stack_of_matrices_is_widened_one_by_one() -> None:
    kind = block_type("Q4_K")
    rows = torch.from_numpy(TENSORS["Q4_K.raw"].copy())[None].repeat(2, 1, 1)
    stack = BlockMatrix(kind, rows)
    assert stack.shape == (2, 3, 512)
    expected = torch.from_numpy(TENSORS["Q4_K.f32"])
    assert torch.equal(stack[1].dequantize(), expected)
    assert torch.equal(stack.dequantize(torch.bfloat16)[0], expected.to(torch.bfloat16))


def test_bytes_that_are_not_whole_blocks_are_refused() -> None:
    kind = block_type("Q8_0")
    with pytest.raises(ShapeError, match="multiple of 34"):
        dequantize(kind, np.zeros((2, 35), dtype=np.uint8))
    with pytest.raises(ShapeError, match="Q8_0"):
        BlockMatrix(kind, torch.zeros(2, 33, dtype=torch.uint8))
    with pytest.raises(ShapeError, match="no int8 groups"):
        expand(block_type("F32"), np.zeros((1, 4), dtype=np.uint8))
    with pytest.raises(CheckpointError, match="multiple of the 256"):
        block_type("Q6_K").row_bytes(300)


def test_an_unknown_type_is_named_or_absent() -> None:
    with pytest.raises(CheckpointError, match="Q9_9"):
        block_type("Q9_9")
    assert block_type_numbered(31) is None
    assert len({row.ggml_type for row in BLOCK_TYPES}) == len(BLOCK_TYPES) == 26


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_matrices_widen_the_same_inside_inference_mode(dtype: torch.dtype) -> None:
    # Above a megabyte threads share the work, and the mode is a thread's own.
    rows = torch.randint(0, 256, (600, 66 * 34), dtype=torch.uint8)
    rows.view(600, 66, 34)[:, :, 1] = 0x2C  # the high byte of each block's scale: finite
    stored = BlockMatrix(block_type("Q8_0"), rows)
    with torch.inference_mode():
        inside = stored.dequantize(dtype)
    assert inside.equal(stored.dequantize(dtype))
