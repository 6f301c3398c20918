"""Writing to a terminal, or to whatever stands in its place."""

from __future__ import annotations

import os
import sys
from typing import TextIO

# A model's output is untrusted: an escape sequence in it could retitle the window, move the cursor or fill the
# clipboard. C0 controls but newline and tab, DEL, and C1 controls (which some terminals obey like escapes) go.
_CONTROLS = {code: None for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\n\t"}

_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


def without_controls(text: str) -> str:
    """`text` without control characters, newline and tab excepted."""
    return text.translate(_CONTROLS)


class Output:
    """One of the standard streams. Escape codes are written only to a terminal that wants them (NO_COLOR, TERM=dumb).

    Text goes out at once. Characters the stream's encoding lacks become question marks rather than errors.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._at_line_start = True
        self.is_terminal = stream.isatty()
        self.is_styled = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")

    def write(self, text: str, *, dim: bool = False) -> None:
        """Write text of the model or the user, controls removed.

        Raises OSError when the reader has gone.
        """
        text = without_controls(text)
        if text:
            self._at_line_start = text.endswith("\n")
            self._put(f"{_DIM}{text}{_PLAIN}" if dim and self.is_styled else text)

    def write_raw(self, text: str) -> None:
        """Write text of our own as it is. The caller answers for its control characters."""
        self._put(text)

    def line(self, text: str = "", *, dim: bool = False) -> None:
        """Write text and a newline, on a line of its own."""
        self.end_line()
        self.write(text, dim=dim)
        self._put("\n")
        self._at_line_start = True

    def end_line(self) -> None:
        """Go to the next line unless at the start of one."""
        if not self._at_line_start:
            self._put("\n")
            self._at_line_start = True

    def status(self, text: str) -> None:
        """Show `text` in the current line, in the place of an earlier status; "" clears it. Terminals only."""
        if self.is_terminal:
            width = _width()
            self._put("\r" + " " * (width - 1) + "\r" + without_controls(text)[: width - 1])

    def prompt(self, text: str) -> str:
        """`text` in bold, as `input` wants it: readline must know which characters take no room."""
        return f"\x01{_BOLD}\x02{text}\x01{_PLAIN}\x02" if self.is_styled else text

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def standard_output() -> Output:
    return Output(sys.stdout)


def standard_error() -> Output:
    return Output(sys.stderr)


def _width() -> int:
    try:
        return max(2, os.get_terminal_size(sys.stderr.fileno()).columns or 80)
    except (OSError, ValueError):
        return 80
