"""Range checks for model facts: bounds far above any published model, far below what could exhaust memory."""

from __future__ import annotations

from moonlet.errors import ConfigError

MAX_VOCAB = 1 << 22
MAX_WIDTH = 1 << 17
MAX_LAYERS = 1024
MAX_HEADS = 1024
MAX_EXPERTS = 8192
MAX_POSITIONS = 1 << 24
MAX_EXPERTS_IN_ALL = 1 << 18
"""Routed experts over all layers: each is 9 tensor names, K2.5 has 23,040."""


def in_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a value outside [low, high], naming it."""
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}, expected a value from {low} to {high}")


def positive(name: str, value: float) -> None:
    """Refuse zero, a negative number and NaN, naming it."""
    if not value > 0:
        raise ConfigError(f"{name} is {value}, expected a positive number")


def multiple(name: str, value: int, of: int, reason: str) -> None:
    """Refuse a value that `of` does not divide, naming it."""
    if value % of:
        raise ConfigError(f"{name} is {value}, expected a multiple of {of}: {reason}")


def supported(name: str, value: str, *choices: str) -> None:
    """Refuse a value that is none of `choices`, naming what is supported."""
    if value not in choices:
        raise ConfigError(f"{name} {value!r} is not supported; moonlet implements {', '.join(choices)}")
