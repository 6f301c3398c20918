"""Logging as the command line sets it up; nothing else configures it, and every module logs under its own name."""

from __future__ import annotations

import logging

LOG_LEVELS = ("debug", "info", "warning", "error")


def configure_logging(level: str) -> None:
    """Send moonlet's log lines of at least `level` (one of LOG_LEVELS) to standard error.

    Standard output stays free for answers and JSON. Only the `moonlet` logger is touched: libraries keep their own.
    Calling it again changes the level and adds no second handler.
    """
    logger = logging.getLogger("moonlet")
    logger.setLevel(level.upper())
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
