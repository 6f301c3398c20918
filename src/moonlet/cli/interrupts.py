"""Signals while a reply streams: Ctrl+C ends the reply, a terminal that goes away ends everything."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from moonlet.engine import ReplyStream


@contextmanager
def stop_on_interrupt(stream: ReplyStream) -> Iterator[None]:
    """Inside the block Ctrl+C cancels `stream` at its next forward pass; a second one raises KeyboardInterrupt."""
    count = 0

    def interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal count
        count += 1
        stream.cancel()
        if count > 1:
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def end_on_hangup() -> Iterator[None]:
    """Inside the block a terminal that closes raises BrokenPipeError, as a closed pipe does."""

    def hang_up(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise BrokenPipeError("the terminal closed")

    previous = signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, previous)
