"""For all tests: what one of them does to the log does not reach the next."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """The command line sets up moonlet's logger for the life of a process, and here a process runs many tests."""
    logger = logging.getLogger("moonlet")
    level, propagate, handlers = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.propagate = propagate
    logger.handlers[:] = handlers
