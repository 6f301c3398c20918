"""Finding codebook entries: exactly, or quickly by way of a table."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moonlet.formats.gguf.bits import Codes, Floats
from moonlet.formats.gguf.search import nearest_entry, nearest_level


class Codebook:
    """A grid of entries, each `width` values out of a few levels."""

    def __init__(self, grid: Codes) -> None:
        """grid: [entries, width] int8."""
        self._grid = grid
        self._floats = grid.astype(np.float32)
        self._levels = np.unique(grid).astype(np.float32)
        self.width = int(grid.shape[1])
        self.top = float(np.abs(self._levels).max())

    def values(self, entries: NDArray[np.uint16]) -> Floats:
        """The values of entries [n]: [n, width] float32."""
        return self._floats[entries]

    def nearest(self, x: Floats) -> NDArray[np.uint16]:
        """The entry of least squared distance to each row, [n]. x: [n, width]."""
        return nearest_entry(x, self._grid)

    def quick(self, x: Floats) -> NDArray[np.uint16]:
        """An entry near each row, [n]: the nearest one to the row with every value rounded to a level."""
        base = len(self._levels)
        digits = nearest_level(x, self._levels).astype(np.int64)
        found: NDArray[np.uint16] = self._table[digits @ base ** np.arange(self.width)]
        return found

    @cached_property
    def _table(self) -> NDArray[np.uint16]:
        base = len(self._levels)
        numbers = np.arange(base**self.width)[:, None] // base ** np.arange(self.width) % base
        return nearest_entry(self._levels[numbers], self._grid)
