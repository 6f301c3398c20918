"""Searches that quantisers share: which scale, which level, which codebook entry errs least. All plain least squares.

Every search works on many groups at once: x is [n, w] float32, a row a group that shares one scale.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from moonlet.formats.gguf.bits import Bytes, Codes, Floats

Rounder = Callable[[Floats], Floats]
"""Values in units of the scale to the nearest representable ones, same shape."""


def nearest_level(x: Floats, levels: Floats) -> Bytes:
    """Index of the nearest of a few levels, for each value; ties take the lower level. Any shape."""
    order = np.argsort(levels, kind="stable")
    ranked = levels[order]
    middles = (ranked[1:] + ranked[:-1]) * np.float32(0.5)
    return order[np.searchsorted(middles, x)].astype(np.uint8)


def _refit(x: Floats, q: Floats) -> tuple[Floats, Floats]:
    """The least-squares scale of x = scale * q for each row, and its squared error less the constant sum of x*x."""
    products = (x * q).sum(axis=1)
    squares = (q * q).sum(axis=1)
    scale = np.where(squares > 0, products / np.where(squares > 0, squares, 1), 0).astype(np.float32)
    return scale, -scale * products


def best_scale(x: Floats, unit: float, rounder: Rounder, *, spread: float = 0.25, steps: int = 9) -> Floats:
    """The scale of least squared error for codes made by `rounder`, [n].

    unit: the code that the farthest value would get at the middle of the search; scales that give it from
    (1 - spread) to (1 + spread) times that are tried, of either sign, each refitted once to its own codes.
    """
    farthest = np.take_along_axis(x, np.abs(x).argmax(axis=1)[:, None], axis=1)[:, 0]
    best = np.zeros(x.shape[0], dtype=np.float32)
    best_error = np.full(x.shape[0], np.inf, dtype=np.float32)
    for factor in np.linspace(1 - spread, 1 + spread, steps, dtype=np.float32):
        for sign in (np.float32(1), np.float32(-1)):
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                inverse = np.nan_to_num(sign * factor * np.float32(unit) / farthest, posinf=0, neginf=0)
            scale, error = _refit(x, rounder(x * inverse[:, None]))
            better = error < best_error
            best = np.where(better, scale, best)
            best_error = np.where(better, error, best_error)
    return best


def scale_for_levels(x: Floats, levels: Floats) -> Floats:
    """`best_scale` for a set of uneven levels."""
    unit = float(levels[np.abs(levels).argmax()])
    return best_scale(x, unit, lambda values: levels[nearest_level(values, levels)])


def integers(low: int, high: int) -> Rounder:
    """Round to whole numbers from low to high."""
    return lambda values: np.clip(np.rint(values), low, high).astype(np.float32)


def best_ramp(x: Floats, top: int, *, steps: int = 12) -> tuple[Floats, Floats]:
    """Scale and minimum of least squared error for x = scale * q - minimum, q from 0 to top; both at least 0. [n] each.

    The formats store no negative minimum, so a group of positive values keeps its ramp from zero.
    """
    low = np.minimum(x.min(axis=1), 0).astype(np.float32)
    span = (x.max(axis=1) - low).astype(np.float32)
    best_step, best_low = span / np.float32(top), low
    best_error = np.full(x.shape[0], np.inf, dtype=np.float32)
    mean_x = x.mean(axis=1)
    for factor in np.linspace(0.85, 1.1, steps, dtype=np.float32):
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.where(span > 0, factor * np.float32(top) / np.where(span > 0, span, 1), 0).astype(np.float32)
        q = np.clip(np.rint((x - low[:, None]) * inverse[:, None]), 0, top).astype(np.float32)
        mean_q = q.mean(axis=1)
        variance = (q * q).mean(axis=1) - mean_q * mean_q
        covariance = (x * q).mean(axis=1) - mean_x * mean_q
        step = np.where(variance > 1e-12, covariance / np.where(variance > 1e-12, variance, 1), 0).astype(np.float32)
        floor = (mean_x - step * mean_q).astype(np.float32)
        # A floor above zero cannot be stored: fit the slope through zero instead.
        through_zero, _ = _refit(x, q)
        step = np.where(floor > 0, through_zero, step)
        floor = np.minimum(floor, 0)
        error = np.square(step[:, None] * q + floor[:, None] - x).sum(axis=1)
        better = (error < best_error) & (step >= 0)
        best_step, best_low = np.where(better, step, best_step), np.where(better, floor, best_low)
        best_error = np.where(better, error, best_error)
    return best_step.astype(np.float32), (-best_low).astype(np.float32)


def nearest_entry(x: Floats, grid: Codes, *, chunk: int = 4096) -> NDArray[np.uint16]:
    """Number of the codebook entry nearest to each row of x, [n]. x: [n, w].  grid: [entries, w] int8."""
    entries = grid.astype(np.float32)
    halves = np.square(entries).sum(axis=1) * np.float32(0.5)
    found = np.empty(x.shape[0], dtype=np.uint16)
    for start in range(0, x.shape[0], chunk):
        piece = x[start : start + chunk]
        found[start : start + chunk] = (piece @ entries.T - halves).argmax(axis=1)
    return found
