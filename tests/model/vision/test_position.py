"""Positions of patches: the learned grid, frames and rotations."""

from __future__ import annotations

import math

import torch

from moonlet.kernels.rope import rope_reference
from moonlet.model.vision import Grid
from moonlet.model.vision.position import frame_embeddings, patch_positions, rotations


def test_a_grid_of_the_learned_size_is_taken_as_it_is() -> None:
    table = torch.randn(6, 8, 4).to(torch.bfloat16)
    assert torch.equal(patch_positions(table, Grid(1, 6, 8)), table.float().flatten(0, 1))


def keys_weight(distance: float) -> float:
    """The cubic convolution kernel with the coefficient -0.75 that torch and the published code use."""
    a, x = -0.75, abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def test_a_stretched_grid_is_cubic_between_its_rows_and_columns() -> None:
    table = torch.randn(5, 4, 1)

    def taps(place: int, target: int, source: int) -> torch.Tensor:
        centre = (place + 0.5) * source / target - 0.5
        weights = torch.zeros(source)
        for tap in range(math.floor(centre) - 1, math.floor(centre) + 3):
            weights[min(max(tap, 0), source - 1)] += keys_weight(centre - tap)
        return weights

    rows = torch.stack([taps(i, 8, 5) for i in range(8)])
    columns = torch.stack([taps(i, 6, 4) for i in range(6)])
    expected = rows @ table[..., 0] @ columns.T
    assert torch.allclose(patch_positions(table, Grid(1, 8, 6)), expected.reshape(-1, 1), atol=1e-5)


def test_frames_are_told_apart_only_where_there_are_several() -> None:
    table = torch.randn(4, 4, 8)
    single = patch_positions(table, Grid(1, 4, 6))
    several = patch_positions(table, Grid(3, 4, 6)).view(3, 24, 8)
    assert torch.equal(several, single + frame_embeddings(3, 8)[:, None])
    assert torch.equal(frame_embeddings(1, 8), torch.tensor([[0.0] * 4 + [1.0] * 4]))


def test_rotations_are_those_of_row_and_column_in_turn_and_repeat_over_frames() -> None:
    cos, sin = rotations(8, Grid(2, 4, 6))
    inv_freq = torch.tensor([1.0, 10000**-0.5])
    for frame in range(2):
        for row in range(4):
            for column in range(6):
                angles = torch.stack((column * inv_freq, row * inv_freq), dim=1).flatten()
                at = (frame * 4 + row) * 6 + column
                assert torch.allclose(cos[at], angles.cos(), atol=1e-6)
                assert torch.allclose(sin[at], angles.sin(), atol=1e-6)


def test_products_of_rotated_heads_depend_on_the_distance_alone() -> None:
    cos, sin = rotations(8, Grid(1, 8, 8))
    q, k = torch.randn(2, 1, 1, 8)
    turned_q = rope_reference(q.expand(64, 1, 8), cos, sin).view(8, 8, 8)
    turned_k = rope_reference(k.expand(64, 1, 8), cos, sin).view(8, 8, 8)
    near, far = turned_q[1, 2] @ turned_k[3, 5], turned_q[4, 3] @ turned_k[6, 6]
    assert torch.allclose(near, far, atol=1e-5)
