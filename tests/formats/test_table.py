"""Bytes of a shape, and the search for values no weight may have."""

from __future__ import annotations

import pytest
import torch

from moonlet.errors import ShapeError
from moonlet.formats import BF16, FORMATS, INT4_G32, INT8_G32
from moonlet.formats.finite import count_nonfinite


def test_a_k25_expert_weighs_what_its_files_hold() -> None:
    matrices = [(2048, 7168), (2048, 7168), (7168, 2048)]
    assert sum(INT4_G32.num_bytes(shape) for shape in matrices) == 24_772_608
    assert (INT4_G32.bits_per_weight, INT8_G32.bits_per_weight, BF16.bits_per_weight) == (4.5, 8.5, 16.0)


def test_rows_of_broken_blocks_have_no_size() -> None:
    with pytest.raises(ShapeError, match="whole 32-value blocks"):
        INT4_G32.num_bytes((4, 40))
    assert len({number_format.name for number_format in FORMATS}) == len(FORMATS)


def test_nan_and_infinity_are_counted_and_large_finite_values_are_not() -> None:
    values = torch.full((3, 5), 3e38, dtype=torch.bfloat16)
    assert count_nonfinite(values) == 0
    values[1, 2], values[2, 4], values[0, 0] = float("nan"), float("inf"), float("-inf")
    assert count_nonfinite(values) == 3
    assert count_nonfinite(torch.full((4,), torch.iinfo(torch.int32).max)) == 0
