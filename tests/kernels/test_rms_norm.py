from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime
from moonlet.kernels.rms_norm import rms_norm, rms_norm_reference
from tests.kernels.compare import assert_close, assert_same_bits

EPS = 1e-6


def inputs(num_tokens: int, size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    return torch.randn(num_tokens, size, generator=generator), torch.randn(size, generator=generator).bfloat16()


@pytest.mark.parametrize("num_tokens", [1, 3, 65])
@pytest.mark.parametrize("size", [1, 15, 16, 64, 100, 1536])
def test_every_level_equals_scalar_and_scalar_is_close_to_torch(
    rt: Runtime, scalar_rt: Runtime, num_tokens: int, size: int
) -> None:
    x, weight = inputs(num_tokens, size)
    scalar = rms_norm(scalar_rt, x, weight, EPS)
    assert_same_bits(rms_norm(rt, x, weight, EPS), scalar)
    # Another order of a float32 sum and a handful of roundings, each 6e-8.
    assert_close(scalar, rms_norm_reference(x, weight, EPS), 1e-6)


def test_a_row_does_not_depend_on_its_company(rt: Runtime) -> None:
    x, weight = inputs(65, 100)
    alone = torch.cat([rms_norm(rt, row[None].contiguous(), weight, EPS) for row in x])
    assert_same_bits(rms_norm(rt, x, weight, EPS), alone)


def test_a_row_of_zeros_stays_finite(rt: Runtime) -> None:
    _, weight = inputs(1, 100)
    assert_same_bits(rms_norm(rt, torch.zeros(1, 100), weight.abs(), EPS), torch.zeros(1, 100))


def test_no_tokens_is_no_work(rt: Runtime) -> None:
    assert rms_norm(rt, torch.empty(0, 64), torch.ones(64, dtype=torch.bfloat16), EPS).shape == (0, 64)


def test_a_wrong_weight_is_named(rt: Runtime) -> None:
    with pytest.raises(ShapeError, match=r"rms_norm: weight: shape \[63\], expected \[D=64\]"):
        rms_norm(rt, torch.ones(2, 64), torch.ones(63, dtype=torch.bfloat16), EPS)
    with pytest.raises(ShapeError, match="rms_norm: weight: float32, expected bfloat16"):
        rms_norm(rt, torch.ones(2, 64), torch.ones(64), EPS)
