"""One line that says how far something is, shown once it has taken a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from moonlet.cli.terminal import Output

_PATIENCE_S = 1.0
_BETWEEN_S = 0.1
_BAR_WIDTH = 30


class ProgressLine:
    """Call it with what is done and what there is in all; use it in a `with` block, which clears the line.

    On anything but a terminal it shows nothing.
    """

    def __init__(self, output: Output, title: str, number: Callable[[int], str] = str) -> None:
        """number: how amounts are written."""
        self._output = output
        self._title = title
        self._number = number
        self._next_at = time.monotonic() + _PATIENCE_S
        self._is_shown = False

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + _BETWEEN_S
        share = done / total if total else 1.0
        filled = int(share * _BAR_WIDTH)
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        self._output.status(f"{self._title} [{bar}] {self._number(done)} of {self._number(total)}")
        self._is_shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._is_shown = False
            self._output.status("")

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
