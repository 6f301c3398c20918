"""Experts in blocks: the sum the backend promises, and a bounded memory of what was widened."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import linear, silu

from moonlet.checkpoint.gguf import BlockLayer
from moonlet.experts import BlockExperts, blocks
from moonlet.formats.gguf import block_type
from moonlet.formats.gguf.matrix import BlockMatrix
from moonlet.formats.gguf.quantize import quantize

EXPERTS, HIDDEN, WIDTH = 6, 64, 96


def stack(kind_name: str, rows: int, columns: int, seed: int) -> BlockMatrix:
    kind = block_type(kind_name)
    weights = np.random.default_rng(seed).standard_normal((EXPERTS, rows, columns)).astype(np.float32) * 0.1
    return BlockMatrix(kind, torch.from_numpy(quantize(kind, weights)))


@pytest.fixture
def layer() -> BlockLayer:
    return BlockLayer(
        stack("Q4_0", WIDTH, HIDDEN, 1), stack("IQ4_NL", WIDTH, HIDDEN, 2), stack("Q8_0", HIDDEN, WIDTH, 3)
    )


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(5, HIDDEN, generator=generator)
    ids = torch.tensor([[0, 3], [1, 3], [0, 5], [2, 4], [3, 5]], dtype=torch.int32)
    return x, ids, torch.rand(5, 2, generator=generator)


def test_the_output_is_the_weighted_sum_of_the_chosen_experts(layer: BlockLayer) -> None:
    x, ids, weights = example()
    expected = torch.zeros_like(x)
    for token in range(5):
        for choice in range(2):
            e = int(ids[token, choice])
            gate = linear(x[token], layer.gate_proj[e].dequantize())
            up = linear(x[token], layer.up_proj[e].dequantize())
            expected[token] += weights[token, choice] * linear(silu(gate) * up, layer.down_proj[e].dequantize())
    found = BlockExperts({7: layer}, torch.float32).forward(7, x, ids, weights)
    assert (found - expected).abs().max() < 1e-5


def test_what_is_kept_widened_is_bounded_and_changes_nothing(
    layer: BlockLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, ids, weights = example()
    first = BlockExperts({0: layer}, torch.float32).forward(0, x, ids, weights)
    one = 3 * 4 * HIDDEN * WIDTH
    monkeypatch.setattr(blocks, "WIDENED_BYTES", 2 * one)
    experts = BlockExperts({0: layer}, torch.float32)
    for _ in range(3):
        assert torch.equal(experts.forward(0, x, ids, weights), first)
        assert len(experts._kept) == 2
        assert experts._kept_bytes == 2 * one
