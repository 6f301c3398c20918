from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime
from moonlet.kernels.linear_float import linear_bf16, linear_f32, linear_reference
from moonlet.kernels.weights import F32Weight
from tests.kernels.compare import assert_close, assert_same_bits

Linear = Callable[[Runtime, Tensor, Tensor], Tensor]
CASES = [pytest.param(linear_bf16, torch.bfloat16, id="bf16"), pytest.param(linear_f32, torch.float32, id="f32")]


def inputs(num_tokens: int, num_rows: int, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_rows + size)
    x = torch.randn(num_tokens, size, generator=generator)
    return x, torch.randn(num_rows, size, generator=generator).to(dtype)


@pytest.mark.parametrize(("linear", "dtype"), CASES)
@pytest.mark.parametrize("num_tokens", [1, 2, 3, 4, 5, 7, 65])
@pytest.mark.parametrize(("num_rows", "size"), [(1, 1), (5, 15), (13, 16), (70, 100), (33, 257)])
def test_every_level_equals_scalar_and_scalar_is_close_to_torch(
    rt: Runtime,
    scalar_rt: Runtime,
    linear: Linear,
    dtype: torch.dtype,
    num_tokens: int,
    num_rows: int,
    size: int,
) -> None:
    x, weight = inputs(num_tokens, num_rows, size, dtype)
    scalar = linear(scalar_rt, x, weight)
    assert_same_bits(linear(rt, x, weight), scalar)
    # Same products, another order of a float32 sum of at most 257 terms.
    assert_close(scalar, linear_reference(x, F32Weight(weight.float())), 2e-6)


@pytest.mark.parametrize(("linear", "dtype"), CASES)
@pytest.mark.parametrize(("num_rows", "size"), [(70, 100), (300, 1024)])
def test_a_row_does_not_depend_on_tokens_chunks_or_threads(
    rt: Runtime, linear: Linear, dtype: torch.dtype, num_rows: int, size: int
) -> None:
    x, weight = inputs(200, num_rows, size, dtype)
    whole = linear(rt, x, weight)
    assert_same_bits(linear(Runtime(1, rt.isa), x, weight), whole)
    for chunk in (1, 7, 64):
        if rt.isa == "scalar" and size > 100:
            continue
        assert_same_bits(torch.cat([linear(rt, part.contiguous(), weight) for part in x.split(chunk)]), whole)


@pytest.mark.parametrize(("linear", "dtype"), CASES)
def test_a_result_does_not_depend_on_the_other_rows(rt: Runtime, linear: Linear, dtype: torch.dtype) -> None:
    x, weight = inputs(7, 37, 100, dtype)
    alone = torch.cat([linear(rt, x, weight[n : n + 1].contiguous()) for n in range(37)], dim=1)
    assert_same_bits(linear(rt, x, weight), alone)


def test_nothing_comes_of_nothing(rt: Runtime) -> None:
    assert linear_f32(rt, torch.empty(0, 8), torch.ones(3, 8)).shape == (0, 3)
    assert linear_f32(rt, torch.ones(2, 8), torch.empty(0, 8)).shape == (2, 0)


def test_wrong_tensors_are_named(rt: Runtime) -> None:
    x, weight = inputs(2, 8, 64, torch.bfloat16)
    with pytest.raises(ShapeError, match=r"linear_bf16: weight: shape \[8, 63\], expected \[N=8, K=64\]"):
        linear_bf16(rt, x, weight[:, :63].contiguous())
    with pytest.raises(ShapeError, match="linear_f32: weight: bfloat16, expected float32"):
        linear_f32(rt, x, weight)
    with pytest.raises(ShapeError, match="linear_bf16: x: not contiguous"):
        linear_bf16(rt, x.t().contiguous().t(), weight)
