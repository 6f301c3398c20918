from __future__ import annotations

import pytest
import torch

from moonlet.errors import OptionError, ShapeError
from moonlet.formats.gguf import BLOCK_TYPES
from moonlet.kernels import (
    Runtime,
    block_formats,
    dequantize_blocks,
    linear_blocks,
    linears_blocks,
    quantize_int8_groups,
    reference_linear_blocks,
    silu_mul,
    swiglu_blocks,
)
from moonlet.kernels.weights import BlockWeight
from tests.kernels.block_case import FACTS, FORMATS, block_weights, random_blocks, vectors, whole_blocks
from tests.kernels.compare import assert_same_bits


def _inputs(num_tokens: int, num_inputs: int) -> torch.Tensor:
    return torch.randn(num_tokens, num_inputs, generator=torch.Generator().manual_seed(num_tokens))


def test_every_quantised_type_but_nvfp4_has_kernels() -> None:
    assert block_formats() == {kind.name for kind in BLOCK_TYPES if kind.expand is not None} - {"NVFP4"}
    assert set(FORMATS) == block_formats()


@pytest.mark.parametrize("name", FORMATS)
def test_expanded_weights_are_the_reference_bit_for_bit(rt: Runtime, name: str) -> None:
    assert_same_bits(dequantize_blocks(vectors()[f"{name}.raw"], name, rt), vectors()[f"{name}.f32"])


# Groups past the last whole span of 512, rows and tokens that fill no tile.
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("num_tokens", [1, 2, 3, 7, 33, 130])
def test_every_level_equals_scalar_bit_for_bit(rt: Runtime, scalar_rt: Runtime, name: str, num_tokens: int) -> None:
    for num_outputs, wanted in ((37, 1200), (3, 32)) if num_tokens < 130 else ((65, 512),):
        num_inputs = whole_blocks(name, wanted)
        blocks = random_blocks(name, num_outputs, num_inputs)
        x = _inputs(num_tokens, num_inputs)
        # Scalar is slow: rows do not depend on their company (below), so a few tell of all.
        some = torch.tensor(sorted({0, num_tokens // 2, num_tokens - 1}))
        found = linear_blocks(rt, x, blocks, name)
        assert_same_bits(found[some], linear_blocks(scalar_rt, x[some], blocks, name))


@pytest.mark.parametrize("name", FORMATS)
def test_scalar_is_the_exact_product_of_the_quantised_activations(scalar_rt: Runtime, name: str) -> None:
    num_inputs = whole_blocks(name, 800)
    blocks = random_blocks(name, 11, num_inputs)
    x = _inputs(4, num_inputs)
    codes, scales = quantize_int8_groups(scalar_rt, x)
    rounded = codes.double() * scales.double().repeat_interleave(32, dim=1)
    expected = rounded @ dequantize_blocks(blocks, name).double().T
    difference = (linear_blocks(scalar_rt, x, blocks, name).double() - expected).abs().max()
    # Float32 sums of a few dozen groups, against products of their magnitudes.
    scale = rounded.abs() @ dequantize_blocks(blocks, name).double().abs().T
    assert difference <= 1e-6 * scale.max(), f"{difference} of {scale.max()}"


@pytest.mark.parametrize("name", FORMATS)
def test_products_are_close_to_float32(fast_rt: Runtime, name: str) -> None:
    num_inputs = whole_blocks(name, 512)
    blocks = random_blocks(name, 64, num_inputs)
    x = _inputs(9, num_inputs)
    expected = reference_linear_blocks(x, blocks, name)
    difference = (linear_blocks(fast_rt, x, blocks, name) - expected).abs()
    # Activations are rounded to 1/254 of their group's greatest value.
    assert difference.max() < 0.02 * expected.abs().max(), f"{difference.max()} of {expected.abs().max()}"


@pytest.mark.parametrize("name", FORMATS)
def test_a_tokens_row_does_not_depend_on_its_company(fast_rt: Runtime, name: str) -> None:
    num_inputs = whole_blocks(name, 672)
    blocks = random_blocks(name, 37, num_inputs)
    x = _inputs(210, num_inputs)
    together = linear_blocks(fast_rt, x, blocks, name)
    for chunk in (1, 3, 64):
        parts = [linear_blocks(fast_rt, x[i : i + chunk], blocks, name) for i in range(0, 210, chunk)]
        assert torch.equal(torch.cat(parts), together)
    assert torch.equal(linear_blocks(Runtime(num_threads=2), x, blocks, name), together)


@pytest.mark.parametrize("name", FORMATS)
def test_weights_need_no_alignment_and_nothing_past_them_is_read(fast_rt: Runtime, name: str) -> None:
    num_inputs = whole_blocks(name, 800)
    blocks = random_blocks(name, 5, num_inputs)
    poisoned = torch.full((blocks.numel() + 999,), 0xFF, dtype=torch.uint8)
    moved = poisoned[3 : 3 + blocks.numel()].view(blocks.shape)
    moved.copy_(blocks)
    for num_tokens in (1, 20):
        x = _inputs(num_tokens, num_inputs)
        assert torch.equal(linear_blocks(fast_rt, x, moved, name), linear_blocks(fast_rt, x, blocks, name))


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_row_does_not_reach_its_neighbours(fast_rt: Runtime, name: str) -> None:
    """Rows that end inside a span are read on into the next, whose factors may be infinite or NaN."""
    num_inputs = whole_blocks(name, 800)
    blocks = random_blocks(name, 40, num_inputs)
    x = _inputs(1, num_inputs)
    clean = linear_blocks(fast_rt, x, blocks, name)
    blocks[1::2] = 0xFF
    assert torch.equal(linear_blocks(fast_rt, x, blocks, name)[:, ::2], clean[:, ::2])


@pytest.mark.parametrize("name", ["Q8_0", "Q2_K", "IQ1_S"])
@pytest.mark.parametrize("num_tokens", range(2, 10))
def test_few_tokens_and_rows_longer_than_the_nearest_cache(
    rt: Runtime, scalar_rt: Runtime, name: str, num_tokens: int
) -> None:
    """Rows are taken eight at a time and in parts: 11 of them, of 11 spans and some."""
    num_inputs = whole_blocks(name, 5_664)
    blocks = random_blocks(name, 11, num_inputs)
    x = _inputs(num_tokens, num_inputs)
    assert_same_bits(linear_blocks(rt, x, blocks, name), linear_blocks(scalar_rt, x, blocks, name))


def test_codes_at_both_ends_do_not_saturate(rt: Runtime, scalar_rt: Runtime) -> None:
    one = torch.tensor([0x00, 0x3C], dtype=torch.uint8)  # the half 1.0
    rows = []
    for code in (0x80, 0x81, 0x7F):
        block = torch.cat([one, torch.full((32,), code, dtype=torch.uint8)])
        rows += [block.repeat(24)] * 3
    blocks = torch.stack(rows)
    x = torch.cat([torch.ones(6, 768), -torch.ones(6, 768)])
    y = linear_blocks(rt, x, blocks, "Q8_0")
    assert_same_bits(y, linear_blocks(scalar_rt, x, blocks, "Q8_0"))
    torch.testing.assert_close(y[0, ::3], torch.tensor([-128.0, -127.0, 127.0]) * 768, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["Q8_0", "Q2_K", "IQ1_S"])
def test_nan_in_one_token_shows_there_and_nowhere_else(rt: Runtime, name: str) -> None:
    num_inputs = whole_blocks(name, 512)
    blocks = random_blocks(name, 33, num_inputs)
    x = _inputs(9, num_inputs)
    clean = linear_blocks(rt, x, blocks, name)
    x[4, 77] = torch.nan
    found = linear_blocks(rt, x, blocks, name)
    assert found[4].isnan().all()
    keep = torch.arange(9) != 4
    assert torch.equal(found[keep], clean[keep])


def test_no_tokens_give_no_rows(rt: Runtime) -> None:
    assert linear_blocks(rt, torch.empty(0, 64), random_blocks("Q4_0", 5, 64), "Q4_0").shape == (0, 5)


def test_wrong_shapes_and_formats_are_named(fast_rt: Runtime) -> None:
    blocks = random_blocks("Q4_0", 8, 64)
    with pytest.raises(ShapeError, match=r"x: shape \[1, 32\], expected \[T, K=64\]|x: shape \[1, 32\]"):
        linear_blocks(fast_rt, _inputs(1, 32), blocks, "Q4_0")
    with pytest.raises(ShapeError, match="rows of 36 bytes, expected a multiple of 34, a Q8_0 block"):
        linear_blocks(fast_rt, _inputs(1, 64), blocks, "Q8_0")
    with pytest.raises(OptionError, match="block format NVFP4: expected one of Q4_0, Q4_1"):
        linear_blocks(fast_rt, _inputs(1, 64), blocks, "NVFP4")


def test_the_table_has_the_published_sizes() -> None:
    for name in FORMATS:
        blocks = torch.zeros(1, FACTS[name]["type_size"], dtype=torch.uint8)
        assert dequantize_blocks(blocks, name).shape == (1, block_weights(name))


@pytest.mark.parametrize("num_tokens", [1, 5, 200])
def test_layers_of_one_input_give_what_each_gives_alone(rt: Runtime, num_tokens: int) -> None:
    weights = [
        BlockWeight(random_blocks(name, num_outputs, 512), name)
        for name, num_outputs in (("Q8_0", 37), ("Q4_K", 1), ("Q4_0", 96))
    ]
    x = _inputs(num_tokens, 512)
    for found, weight in zip(linears_blocks(rt, x, weights), weights, strict=True):
        assert_same_bits(found, linear_blocks(rt, x, weight.blocks, weight.block_format))


def test_layers_of_different_inputs_are_refused(fast_rt: Runtime) -> None:
    weights = [BlockWeight(random_blocks("Q8_0", 3, num_inputs), "Q8_0") for num_inputs in (64, 96)]
    with pytest.raises(ShapeError, match=r"x: shape \[1, 64\], expected \[T=1, K=96\]"):
        linears_blocks(fast_rt, _inputs(1, 64), weights)
    with pytest.raises(ShapeError, match="0 blocks, 0 formats and 0 outs, expected as many of each, at least one"):
        linears_blocks(fast_rt, _inputs(1, 64), [])


@pytest.mark.parametrize("num_tokens", [1, 5, 1100])
def test_a_fused_swiglu_gives_what_its_layers_give(rt: Runtime, num_tokens: int) -> None:
    gate, up = (BlockWeight(random_blocks(name, 96, 256), name) for name in ("Q8_0", "Q4_K"))
    down = BlockWeight(random_blocks("Q5_0", 256, 96), "Q5_0")
    x = _inputs(num_tokens, 256) * 0.01
    hidden = silu_mul(rt, torch.cat(linears_blocks(rt, x, [gate, up]), dim=-1))
    expected = linear_blocks(rt, hidden, down.blocks, down.block_format)
    assert_same_bits(swiglu_blocks(rt, x, gate, up, down), expected)


def test_a_swiglu_whose_matrices_do_not_fit_is_named(fast_rt: Runtime) -> None:
    gate, narrow = (BlockWeight(random_blocks("Q8_0", num_rows, 64), "Q8_0") for num_rows in (32, 31))
    down = BlockWeight(random_blocks("Q8_0", 64, 32), "Q8_0")
    x = _inputs(1, 64)
    with pytest.raises(ShapeError, match=r"swiglu_blocks: up: shape \[31, 68\], expected \[rows=32, row bytes=68\]"):
        swiglu_blocks(fast_rt, x, gate, narrow, down)
    with pytest.raises(ShapeError, match="swiglu_blocks: gate: F = 31, expected a multiple of 32"):
        swiglu_blocks(fast_rt, x, narrow, narrow, down)
    with pytest.raises(ShapeError, match="swiglu_blocks: down: rows of 32 weights, expected a multiple of 256 in Q4_K"):
        swiglu_blocks(fast_rt, x, gate, gate, BlockWeight(down.blocks, "Q4_K"))
