from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moonlet.errors import ShapeError
from moonlet.kernels import (
    BlockExpertsLayer,
    Runtime,
    block_experts_forward,
    dequantize_blocks,
    reference_experts_forward,
)
from tests.kernels.block_case import FORMATS, random_blocks
from tests.kernels.int4 import random_routing

# Files mix formats: more bits for down than for gate and up.
MIXES = [("Q2_K", "IQ2_XXS", "Q3_K"), ("Q4_0", "Q4_0", "Q8_0"), ("IQ1_S", "TQ1_0", "Q6_K")]


def _stack(name: str, num_experts: int, num_rows: int, num_inputs: int) -> Tensor:
    return torch.stack([random_blocks(name, num_rows, num_inputs, seed) for seed in range(num_experts)])


def _layer(names: tuple[str, str, str], num_experts: int, D: int, F: int) -> tuple[list[Tensor], BlockExpertsLayer]:  # noqa: N803
    gate, up = (_stack(name, num_experts, F, D) for name in names[:2])
    down = _stack(names[2], num_experts, D, F)
    return [gate, up, down], BlockExpertsLayer(gate, names[0], up, names[1], down, names[2])


def _inputs(num_tokens: int, hidden_size: int) -> Tensor:
    return torch.randn(num_tokens, hidden_size, generator=torch.Generator().manual_seed(num_tokens)) * 0.01


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 7, 33, 130])
@pytest.mark.parametrize("names", MIXES)
def test_every_level_equals_scalar_bit_for_bit(
    rt: Runtime, scalar_rt: Runtime, num_tokens: int, names: tuple[str, str, str]
) -> None:
    _, layer = _layer(names, 5, 768, 256)
    x = _inputs(num_tokens, 768)
    ids, weights = random_routing(num_tokens, num_experts=5, top_k=3)
    found = block_experts_forward(rt, layer, x, ids, weights)
    some = torch.tensor(sorted({0, num_tokens // 2, num_tokens - 1}))
    expected = block_experts_forward(scalar_rt, layer, x[some], ids[some], weights[some])
    assert torch.equal(found[some], expected)


@pytest.mark.parametrize("name", FORMATS)
def test_the_layer_is_close_to_float32(fast_rt: Runtime, name: str) -> None:
    stacks, layer = _layer((name, name, name), 4, 512, 256)
    x = _inputs(9, 512)
    ids, weights = random_routing(9, num_experts=4, top_k=2)
    gate, up, down = ([dequantize_blocks(matrix, name) for matrix in stack] for stack in stacks)
    expected = reference_experts_forward(gate, up, down, x, ids, weights)
    difference = (block_experts_forward(fast_rt, layer, x, ids, weights) - expected).abs()
    # Two roundings of activations to 1/254 of their group's greatest value, one after another.
    assert difference.max() < 0.04 * expected.abs().max(), f"{difference.max()} of {expected.abs().max()}"


def test_a_tokens_row_does_not_depend_on_its_company(fast_rt: Runtime) -> None:
    _, layer = _layer(("Q4_K", "Q5_0", "IQ4_NL"), 4, 768, 96)
    x = _inputs(40, 768)
    ids, weights = random_routing(40, num_experts=4, top_k=2)
    together = block_experts_forward(fast_rt, layer, x, ids, weights)
    for chunk in (1, 7, 13):
        parts = [
            block_experts_forward(fast_rt, layer, x[i : i + chunk], ids[i : i + chunk], weights[i : i + chunk])
            for i in range(0, 40, chunk)
        ]
        assert torch.equal(torch.cat(parts), together)
    assert torch.equal(block_experts_forward(Runtime(num_threads=2), layer, x, ids, weights), together)


def test_gate_and_up_may_lie_in_one_stack(fast_rt: Runtime) -> None:
    (gate, up, down), layer = _layer(("Q4_K", "Q4_K", "Q8_0"), 3, 512, 64)
    fused = BlockExpertsLayer(torch.cat([gate, up], dim=1), "Q4_K", None, "Q4_K", down, "Q8_0")
    assert fused.moe_intermediate_size == 64
    x = _inputs(5, 512)
    ids, weights = random_routing(5, num_experts=3, top_k=2)
    expected = block_experts_forward(fast_rt, layer, x, ids, weights)
    assert torch.equal(block_experts_forward(fast_rt, fused, x, ids, weights), expected)


def test_more_tokens_than_one_pass_takes(fast_rt: Runtime) -> None:
    _, layer = _layer(("Q4_0", "Q4_0", "Q4_0"), 2, 32, 32)
    x = _inputs(1100, 32)
    ids, weights = random_routing(1100, num_experts=2, top_k=1)
    together = block_experts_forward(fast_rt, layer, x, ids, weights)
    assert torch.equal(block_experts_forward(fast_rt, layer, x[1000:], ids[1000:], weights[1000:]), together[1000:])


def test_wrong_shapes_are_named(fast_rt: Runtime) -> None:
    (gate, up, down), layer = _layer(("Q4_0", "Q4_0", "Q4_0"), 2, 64, 32)
    with pytest.raises(ShapeError, match=r"down: shape \[2, 63, 18\], expected \[E=2, rows=64, row bytes=18\]"):
        BlockExpertsLayer(gate, "Q4_0", up, "Q4_0", down[:, :63].contiguous(), "Q4_0")
    with pytest.raises(ShapeError, match="down: rows of 32 weights, expected a multiple of 256 in Q2_K"):
        BlockExpertsLayer(gate, "Q4_0", up, "Q4_0", down, "Q2_K")
    ids, weights = random_routing(3, num_experts=2, top_k=1)
    bad = torch.tensor([[0], [2], [1]], dtype=torch.int32)
    with pytest.raises(ShapeError, match=r"topk_ids\[1\]\[0\] is 2, expected 0 to 1"):
        block_experts_forward(fast_rt, layer, _inputs(3, 64), bad, weights)
    with pytest.raises(ShapeError, match=r"x: shape \[3, 32\], expected \[T=3, D=64\]"):
        block_experts_forward(fast_rt, layer, _inputs(3, 32), ids, weights)
