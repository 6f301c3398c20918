"""For all tests: what one of them does to the log does not reach the next."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def own_log() -> None:
    """The command line sets up moonlet's logger for the life of a process, and here a process runs many tests.

    Before each test rather than after it: fixtures of a whole module use the command line too.
    """
    logger = logging.getLogger("moonlet")
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    logger.handlers.clear()
