"""What the tower is given is checked when it is made."""

from __future__ import annotations

import pytest
import torch

from moonlet.errors import ShapeError
from moonlet.model.vision import Grid, VisionItem


@pytest.mark.parametrize(("t", "h", "w"), [(0, 2, 2), (5, 2, 2), (1, 3, 2), (1, 2, 0), (1, 2, -2), (1, 514, 2)])
def test_an_impossible_grid_is_refused(t: int, h: int, w: int) -> None:
    with pytest.raises(ShapeError, match=f"grid {t} x {h} x {w}"):
        Grid(t, h, w)


def test_tokens_do_not_depend_on_the_number_of_frames() -> None:
    assert [Grid(t, 6, 8).num_tokens for t in (1, 2, 3, 4)] == [12] * 4
    assert Grid(3, 6, 8).num_patches == 144


@pytest.mark.parametrize(
    "pixels",
    [torch.zeros(3, 3, 14, 14), torch.zeros(4, 1, 14, 14), torch.zeros(4, 588), torch.zeros(4, 3, 14, 14).half()],
)
def test_pixels_that_do_not_fit_the_grid_are_refused(pixels: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="pixels"):
        VisionItem(pixels, Grid(1, 2, 2))
