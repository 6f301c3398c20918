"""One thread an operation, for as long as workers are the threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_threaded_operations() -> Iterator[None]:
    """Operations use one thread each inside; sums are then added in one order, so runs repeat bit for bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
