"""Who computes what in the next step.

The rule, in the order of its parts:

1. Whoever only has one token to compute, a reply being written, takes part in every step.
2. Prompts share what is left of the step's budget evenly; what a short one does not need goes to the longer ones. So a
   short question overtakes a long document, and the document still moves in every step.
3. Requests enter in the order of arrival, up to `max_running`, once all their known tokens fit into the pages that
   nobody uses. The first that does not fit holds up those behind it, or it would wait for ever.
4. When pages run out in the middle of a reply, requests that rest (their reader has not asked for more) give theirs up,
   then the youngest, never one older than the one in need. What was computed stays in the prefix tree as long as there
   is room; the request goes back to its place in the queue and goes on from what is left, its tokens unchanged.
5. Where two prompts are the same up to a page that one is reading now, the other waits for that page.
6. Of the prompts to be scored one reads in a step, in small chunks: each of its tokens has a row of logits.
7. A prompt whose next pages are on the disk takes those before it reads on, a few milliseconds of each step, so that
   the replies beside it go on.
"""

from __future__ import annotations

import time
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from moonlet.engine.page_pool import PagePool
from moonlet.engine.prefill_pace import PrefillPace
from moonlet.engine.request import Request

_by_arrival = attrgetter("arrival")

_LOAD_S = 0.01
"""Time for pages from the disk in a step; one page is loaded even where that takes longer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Requests and how many tokens of each to compute, with pages held for them.

    num_decoding: the requests among them that write a reply.
    """

    shares: tuple[tuple[Request, int], ...]
    num_decoding: int

    @property
    def num_prompt_tokens(self) -> int:
        """Tokens computed beside those of replies."""
        return sum(size for _, size in self.shares) - self.num_decoding


class Scheduler:
    """The running requests, which may hold pages, and the waiting ones, which hold none. Used by one thread."""

    def __init__(self, pool: PagePool, pace: PrefillPace, max_running: int) -> None:
        self._pool = pool
        self._pace = pace
        self._max_running = max_running
        self.running: list[Request] = []
        self.waiting: list[Request] = []
        self.num_preempted = 0

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything, as far as can be told without planning it."""
        return any(request.is_wanted for request in self.requests())

    def requests(self) -> Iterator[Request]:
        """All of them."""
        yield from self.running
        yield from self.waiting

    def add(self, request: Request) -> None:
        """Put a request into the queue, at the place of its arrival."""
        insort(self.waiting, request, key=_by_arrival)

    def remove(self, request: Request, *, keep: bool = True) -> None:
        """Take a request out and give up its pages. keep: its latents may be found again; False after an error."""
        self._pool.save(request.sequence)
        self._pool.release(request.sequence, keep=keep)
        (self.running if request in self.running else self.waiting).remove(request)

    def plan(self) -> Plan:
        """The next step. Empty where nobody wants anything, or pages are still to be loaded from the disk."""
        self._admit()
        wanted = [request for request in self.running if request.is_wanted]
        decoding = [request for request in wanted if request.is_decoding]
        reading = self._readers(self._loaded([request for request in wanted if not request.is_decoding]))
        budget = self._pace.budget(len(decoding))
        sizes = dict.fromkeys(decoding, 1) | _shared(budget, reading)
        shares: dict[Request, int] = {}
        for request in sorted(sizes, key=_by_arrival):
            if request in self.running and self._hold_pages(request, sizes[request]):
                shares[request] = sizes[request]
        # A younger request may have lost its pages to an older one after its share was set.
        held = tuple((request, size) for request, size in shares.items() if request in self.running)
        return Plan(held, sum(request in decoding for request, _ in held))

    def _admit(self) -> None:
        for request in [request for request in self.waiting if request.is_wanted]:
            if len(self.running) >= self._max_running and not self._preempt_resting():
                return
            while not self._pool.can_hold(request.sequence):
                if not self._preempt_resting():
                    return
            self.waiting.remove(request)
            insort(self.running, request, key=_by_arrival)
            if request.admitted_at is None:
                request.admitted_at = time.perf_counter()

    def _loaded(self, prompts: list[Request]) -> list[Request]:
        """Those of `prompts` that share all there is of them, in memory and on the disk; the others do not read yet."""
        deadline = time.perf_counter() + _LOAD_S
        loaded = []
        for request in prompts:
            self._pool.find_prefix(request.sequence)
            if self._pool.load_prefix(request.sequence, deadline):
                loaded.append(request)
        return loaded

    def _readers(self, prompts: list[Request]) -> list[Request]:
        """Those of `prompts` that read in this step; oldest first."""
        readers: list[Request] = []
        being_read: set[tuple[int, tuple[int, ...]]] = set()
        is_scoring = False
        for request in prompts:
            sequence = request.sequence
            if sequence.prompt_logits_from is not None:
                if is_scoring:
                    continue
                is_scoring = True
            page = (id(sequence.node), sequence.page_ids(sequence.num_shared))
            if page not in being_read or sequence.num_own_tokens:
                being_read.add(page)
                self._pool.copy_tail(sequence)
                readers.append(request)
        return readers

    def _hold_pages(self, request: Request, num_tokens: int) -> bool:
        while not self._pool.reserve(request.sequence, num_tokens):
            victim = self._victim(request)
            if victim is None:
                return False
            self._preempt(victim)
            if victim is request:
                return False
        return True

    def _victim(self, request: Request) -> Request | None:
        """Who gives up pages for `request`: one that rests, else the youngest; None where it stands alone."""
        others = [other for other in self.running if other is not request and other.sequence.pages]
        if not others:
            return None
        resting = [other for other in others if not other.is_wanted]
        return resting[-1] if resting else max([request, *others], key=_by_arrival)

    def _preempt_resting(self) -> bool:
        """Put the youngest request that rests aside. False where none does."""
        resting = next((request for request in reversed(self.running) if not request.is_wanted), None)
        if resting is not None:
            self._preempt(resting)
        return resting is not None

    def _preempt(self, request: Request) -> None:
        self._pool.release(request.sequence)
        self.running.remove(request)
        request.sequence.is_first_reading = False
        self.num_preempted += 1
        self.add(request)


def _shared(budget: int, prompts: list[Request]) -> dict[Request, int]:
    """`budget` tokens among `prompts`: even shares, and what the short ones leave goes to the longer ones."""
    sizes: dict[Request, int] = {}
    by_need = sorted(prompts, key=lambda request: request.sequence.num_readable)
    for index, request in enumerate(by_need):
        even = -(-budget // (len(by_need) - index))
        size = min(even, request.sequence.num_readable)
        if size:
            sizes[request] = size
            budget -= size
    return sizes
