"""Numbers as people read them."""

from __future__ import annotations

_STEPS = ((10**9, "B", "GB"), (10**6, "M", "MB"), (10**3, "K", "KB"))


def count_text(number: int) -> str:
    """A count with a short-scale letter: 31.69 B."""
    for unit, letter, _ in _STEPS:
        if number >= unit:
            return f"{number / unit:,.2f} {letter}"
    return str(number)


def size_text(num_bytes: int) -> str:
    """A size in decimal units: 595.1 GB."""
    for unit, _, name in _STEPS:
        if num_bytes >= unit:
            return f"{num_bytes / unit:,.1f} {name}"
    return f"{num_bytes} B"
