"""Reading what the user types: history, several lines, interruptions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BLOCK = '"""'
_HISTORY_LINES = 1000


class DiscardedLine(Exception):  # noqa: N818
    """Ctrl+C while a line was being typed. `was_empty`: nothing had been typed."""

    def __init__(self, was_empty: bool) -> None:
        super().__init__()
        self.was_empty = was_empty


def read_message(prompt: str, continuation: str, read_line: Callable[[str], str]) -> str:
    """The user's next message.

    A line that ends with a backslash goes on in the next one; a line that begins with three quotes opens a block that
    ends with a line ending in three quotes.
    Raises EOFError at the end of input, DiscardedLine on Ctrl+C.
    """
    lines: list[str] = []
    try:
        line = read_line(prompt)
        if line.lstrip().startswith(_BLOCK):
            line = line.lstrip().removeprefix(_BLOCK)
            while not line.rstrip().endswith(_BLOCK):
                lines.append(line)
                line = read_line(continuation)
            lines.append(line.rstrip().removesuffix(_BLOCK))
            return "\n".join(lines).strip("\n")
        while line.endswith("\\"):
            lines.append(line[:-1])
            line = read_line(continuation)
        return "\n".join([*lines, line])
    except KeyboardInterrupt:
        raise DiscardedLine(was_empty=not lines and not _typed_so_far()) from None


@contextmanager
def line_editing(words: Iterable[str]) -> Iterator[None]:
    """Arrow keys, a history kept between runs, and completion of `words` at the start of a line, where readline is."""
    try:
        import readline
    except ImportError:
        yield
        return
    choices = sorted(words)

    def complete(text: str, state: int) -> str | None:
        matches = [word + " " for word in choices if word.startswith(text)] if readline.get_begidx() == 0 else []
        return matches[state] if state < len(matches) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n")
    readline.parse_and_bind("tab: complete")
    path = _history_file()
    # The first run, or a file that is not ours to read: a chat without old lines is still a chat.
    with suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LINES)
    try:
        yield
    finally:
        _write_history(path, readline.write_history_file)


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "moonlet" / "chat_history"


def _write_history(path: Path, write: Callable[[Path], None]) -> None:
    # A read-only home must not spoil the end of a chat.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Questions are private: nobody else may read the file, not even while it is written.
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        write(path)


def _typed_so_far() -> str:
    try:
        import readline
    except ImportError:
        return ""
    return readline.get_line_buffer()
