from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime
from moonlet.kernels.rope import rope, rope_reference
from tests.kernels.compare import assert_close, assert_same_bits


def inputs(num_tokens: int, num_heads: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_tokens)
    angles = torch.rand(num_tokens, size // 2, generator=generator) * 6.3
    return torch.randn(num_tokens, num_heads, size, generator=generator), angles.cos(), angles.sin()


@pytest.mark.parametrize("num_tokens", [1, 3, 65])
@pytest.mark.parametrize(("num_heads", "size"), [(1, 2), (5, 6), (4, 64)])
def test_every_level_equals_scalar_and_scalar_is_close_to_torch(
    rt: Runtime, scalar_rt: Runtime, num_tokens: int, num_heads: int, size: int
) -> None:
    x, cos, sin = inputs(num_tokens, num_heads, size)
    scalar = rope(scalar_rt, x, cos, sin)
    assert_same_bits(rope(rt, x, cos, sin), scalar)
    # Two roundings of values no larger than the inputs.
    assert_close(scalar, rope_reference(x, cos, sin), 3e-7)


def test_pairs_turn_by_their_angle_and_stay_in_place(rt: Runtime) -> None:
    x = torch.tensor([[[1.0, 0.0, 0.0, 2.0]]])
    quarter = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    assert rope(rt, x, *quarter).tolist() == [[[0.0, 1.0, -2.0, 0.0]]]


def test_a_missing_angle_is_named(rt: Runtime) -> None:
    with pytest.raises(ShapeError, match=r"rope: x: shape \[1, 1, 6\], expected \[T=1, H=1, R=4\]"):
        rope(rt, torch.ones(1, 1, 6), torch.ones(1, 2), torch.ones(1, 2))
