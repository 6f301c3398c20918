from __future__ import annotations

import pytest
import torch

from moonlet.kernels import Runtime, quantize_int8_groups, reference_quantize_int8_groups


@pytest.mark.parametrize("num_inputs", [32, 96, 128, 416])
@pytest.mark.parametrize("num_tokens", [1, 9])
def test_every_level_equals_torch_bit_for_bit(rt: Runtime, num_tokens: int, num_inputs: int) -> None:
    x = torch.randn(num_tokens, num_inputs, generator=torch.Generator().manual_seed(0)) * 5
    x[0, :32] = 0.0
    codes, scales = quantize_int8_groups(rt, x)
    expected_codes, expected_scales = reference_quantize_int8_groups(x)
    assert torch.equal(codes, expected_codes)
    assert torch.equal(scales, expected_scales)


def test_halves_round_to_even(rt: Runtime) -> None:
    x = torch.zeros(1, 32)
    x[0, :5] = torch.tensor([127.0, 0.5, 1.5, -0.5, -2.5])
    codes, scales = quantize_int8_groups(rt, x)
    assert codes[0, :5].tolist() == [127, 0, 2, 0, -2]
    assert scales.tolist() == [[1.0]]


@pytest.mark.parametrize("value", [1e-38, 1e-31, 1e-45, torch.inf, -torch.inf, torch.nan])
def test_extreme_groups_take_the_same_way_at_every_level(rt: Runtime, scalar_rt: Runtime, value: float) -> None:
    x = torch.randn(1, 64, generator=torch.Generator().manual_seed(0))
    x[0, :32] = x[0, :32].sign() * 1e-40
    x[0, 3] = value
    codes, scales = quantize_int8_groups(rt, x)
    expected_codes, expected_scales = quantize_int8_groups(scalar_rt, x)
    assert torch.equal(codes, expected_codes)
    assert torch.equal(scales.nan_to_num(nan=-1.0), expected_scales.nan_to_num(nan=-1.0))
    assert torch.equal(codes[0, :32], torch.zeros(32, dtype=torch.int8))
