"""What an engine is doing and has done, for metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moonlet.cache import DiskStats


@dataclass(slots=True)
class RequestCounts:
    """Counts from the engine's start.

    prompt_tokens: of requests that got their first token; cached_tokens of them were found, not computed.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    num_finished: int = 0
    num_cancelled: int = 0
    num_failed: int = 0


@dataclass(frozen=True, slots=True)
class EngineStats:
    """One moment of an engine.

    num_running: requests that may hold pages.  num_waiting: requests in the queue, preempted ones included.
    used_pages, cached_pages: pages of 64 tokens that running requests hold, and that only kept prefixes hold.
    num_preempted: how often a request gave up its pages to an older one.
    disk: of the folder that keeps pages; None where there is none.
    """

    num_running: int
    num_waiting: int
    used_pages: int
    cached_pages: int
    total_pages: int
    num_preempted: int
    counts: RequestCounts
    disk: DiskStats | None
