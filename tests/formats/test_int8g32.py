"""INT8 group-32, made while loading."""

from __future__ import annotations

import pytest
import torch

from moonlet.errors import ShapeError
from moonlet.formats import int8g32


def test_the_error_is_at_most_half_a_step_and_the_scale_rounding() -> None:
    weight = torch.randn(16, 96).to(torch.bfloat16)
    codes, scales = int8g32.quantize(weight)
    assert codes.dtype == torch.uint8
    assert codes.min() >= 1
    error = (int8g32.dequantize(codes, scales) - weight.float()).abs()
    # A scale rounded down by 1/256 moves the largest value by half a code of 127.
    assert (error <= scales.float().repeat_interleave(32, dim=1) * (0.5 + 127 / 256)).all()


def test_zero_is_code_128_and_quantising_again_changes_nothing() -> None:
    codes, scales = int8g32.quantize(torch.zeros(1, 32))
    assert (codes == 128).all()
    assert not int8g32.dequantize(codes, scales).any()
    codes, scales = int8g32.quantize(torch.randn(4, 64))
    again = int8g32.quantize(int8g32.dequantize(codes, scales))
    assert torch.equal(int8g32.dequantize(*again), int8g32.dequantize(codes, scales))


def test_rows_that_are_not_whole_groups_are_refused() -> None:
    with pytest.raises(ShapeError, match="multiple of 32"):
        int8g32.quantize(torch.zeros(2, 33))
    with pytest.raises(ShapeError, match="one a group of 32"):
        int8g32.dequantize(torch.zeros(2, 64, dtype=torch.uint8), torch.zeros(2, 3, dtype=torch.bfloat16))


def test_the_rounding_loss_is_the_relative_root_mean_square_over_all_weights() -> None:
    generator = torch.Generator().manual_seed(3)
    parts = [torch.randn(8, 64, generator=generator) * size for size in (1.0, 10.0)]
    loss = int8g32.RoundingLoss()
    assert loss.relative == 0.0
    for part in parts:
        loss.add(part, *int8g32.quantize(part))
    error = torch.cat([int8g32.dequantize(*int8g32.quantize(part)) - part for part in parts])
    assert loss.relative == pytest.approx(float(error.norm() / torch.cat(parts).norm()), rel=1e-4)
    assert 0.003 < loss.relative < 0.01
