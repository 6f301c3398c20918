"""Comparisons that print how far apart two results are."""

from __future__ import annotations

import torch
from torch import Tensor


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Largest difference at most `tolerance` times the largest expected magnitude (at least 1e-30)."""
    difference = (found.double() - expected.double()).abs()
    scale = max(float(expected.abs().max()), 1e-30)
    assert bool(torch.isfinite(found).all()), "result is not finite"
    assert float(difference.max()) <= tolerance * scale, (
        f"max difference {float(difference.max()):.3g}, mean {float(difference.mean()):.3g}, "
        f"allowed {tolerance * scale:.3g}"
    )


def assert_same_bits(found: Tensor, expected: Tensor) -> None:
    """Equal values, NaN equal to NaN, and zeros of the same sign."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    same = (found == expected) & (found.signbit() == expected.signbit()) | (found.isnan() & expected.isnan())
    if not bool(same.all()):
        difference = (found.double() - expected.double()).abs()
        raise AssertionError(
            f"{int((~same).sum())} of {same.numel()} differ, max {float(difference.max()):.3g}, "
            f"mean {float(difference.mean()):.3g}"
        )
