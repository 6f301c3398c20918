from __future__ import annotations

import pytest
import torch

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime
from moonlet.kernels.silu_mul import silu_mul, silu_mul_reference
from tests.kernels.compare import assert_close, assert_same_bits


@pytest.mark.parametrize("num_tokens", [1, 3, 65])
@pytest.mark.parametrize("size", [1, 15, 64, 100])
def test_every_level_equals_scalar_and_scalar_is_close_to_torch(
    rt: Runtime, scalar_rt: Runtime, num_tokens: int, size: int
) -> None:
    gate_up = torch.randn(num_tokens, 2 * size, generator=torch.Generator().manual_seed(size)) * 10
    scalar = silu_mul(scalar_rt, gate_up)
    assert_same_bits(silu_mul(rt, gate_up), scalar)
    # The exponential is within 8e-8, then four roundings.
    assert_close(scalar, silu_mul_reference(gate_up), 5e-7)


def test_the_exponential_is_accurate_wherever_silu_is_not_negligible(rt: Runtime) -> None:
    gate = torch.linspace(-80, 80, 40001)
    found = silu_mul(rt, torch.cat((gate, torch.ones_like(gate)))[None])[0].double()
    exact = torch.nn.functional.silu(gate.double())
    # Relative: the exponential 8e-8, a sum, a quotient and a product 6e-8 each.
    relative = ((found - exact) / exact.abs().clamp_min(1e-300)).abs()
    assert float(relative.max()) < 3e-7, f"max {float(relative.max()):.3g}, mean {float(relative.mean()):.3g}"


def test_extremes_neither_overflow_nor_lose_nan(rt: Runtime) -> None:
    gate = torch.tensor([1e30, -1e30, 200.0, -200.0, 0.0, float("nan")])
    found = silu_mul(rt, torch.cat((gate, torch.ones(6)))[None])[0]
    # Far below zero silu is -x e^x; the exponential stops at e^88, so a huge x leaves x / e^88 rather than 0.
    assert found[0] == 1e30
    assert found[1].abs() <= 1e30 / 1e38
    assert found[2] == 200.0
    assert found[3].abs() < 1e-35
    assert found[4] == 0.0
    assert found[5].isnan()


def test_half_a_gate_is_named(rt: Runtime) -> None:
    with pytest.raises(ShapeError, match="silu_mul: gate_up"):
        silu_mul(rt, torch.ones(1, 7))
