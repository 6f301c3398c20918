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
