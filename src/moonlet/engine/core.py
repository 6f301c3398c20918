"""One step of the engine: plan, compute, sample, hand over. Owned by one thread (worker.py)."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from moonlet.cache import DiskTier
from moonlet.engine.batch import Chunk
from moonlet.engine.page_pool import PagePool
from moonlet.engine.prefill_pace import PrefillPace
from moonlet.engine.request import Ended, Prefilled, Request
from moonlet.engine.runner import Runner
from moonlet.engine.scheduler import Plan, Scheduler
from moonlet.engine.stats import EngineStats, RequestCounts


class EngineCore:
    """Model, pages and requests. All methods but `stats` are for the thread that owns it."""

    def __init__(self, runner: Runner, *, chunk_size: int, max_running: int, disk: DiskTier | None = None) -> None:
        """chunk_size: prompt tokens of a step at most.  max_running: requests that take part in steps.

        disk: keeps pages beyond the memory and this run.
        """
        self._runner = runner
        self.pool = PagePool(runner.cache, disk)
        self._pace = PrefillPace(chunk_size)
        self._scheduler = Scheduler(self.pool, self._pace, max_running)
        self._counts = RequestCounts()
        self.mean_request_s = 1.0
        """Running mean of the time from admission to the end."""

    @property
    def num_ended(self) -> int:
        """Requests that were submitted and are over."""
        return self._counts.num_finished + self._counts.num_cancelled + self._counts.num_failed

    @property
    def has_work(self) -> bool:
        """Whether a step may do something."""
        return self._scheduler.has_work

    def stats(self) -> EngineStats:
        """What is going on; from any thread, where numbers may belong to two neighbouring steps."""
        return EngineStats(
            num_running=len(self._scheduler.running),
            num_waiting=len(self._scheduler.waiting),
            used_pages=self.pool.num_used,
            cached_pages=self.pool.num_cached,
            total_pages=self.pool.allocator.num_pages,
            num_preempted=self._scheduler.num_preempted,
            counts=replace(self._counts),
            disk=None if self.pool.disk is None else self.pool.disk.stats(),
        )

    def submit(self, request: Request) -> None:
        """Queue a request, which its reader may have left already."""
        self._scheduler.add(request)
        self.end_left()

    def end_left(self) -> None:
        """End the requests that their readers have left."""
        for request in [request for request in self._scheduler.requests() if request.left_for is not None]:
            self._scheduler.remove(request)
            if request.left_for == "cancelled":
                self._counts.num_cancelled += 1
            else:
                self._count_finished(request)
            request.deliver(Ended())

    def forget(self) -> None:
        """Give up all kept prefixes in memory."""
        self.pool.forget()

    def step(self) -> None:
        """Take one step: a forward pass, unless all wait for pages from the disk.

        A failed forward pass ends the requests in it: which of them caused it cannot be told.
        """
        plan = self._scheduler.plan()
        if not plan.shares:
            return
        plan, chunks = self._read_media(plan)
        if not chunks:
            return
        choosing = [request for (request, _), chunk in zip(plan.shares, chunks, strict=True) if chunk.ends_sequence]
        num_logits = [chunk.num_logits for chunk in chunks]
        started = time.perf_counter()
        try:
            logits = self._runner.forward(chunks)
        except Exception as error:
            for request, _ in plan.shares:
                self._fail(request, error)
            return
        rows: dict[Request, npt.NDArray[np.float32]] = {}
        for (request, _), end, count in zip(plan.shares, accumulate(num_logits), num_logits, strict=True):
            rows[request] = logits[end - count : end].numpy()
        for request, size in plan.shares:
            self._advance(request, size, rows[request])
        for request in choosing:
            self._choose(request, rows[request][-1])
        self._pace.record(plan.num_decoding, plan.num_prompt_tokens, time.perf_counter() - started)

    def _read_media(self, plan: Plan) -> tuple[Plan, list[Chunk]]:
        """Encode what the plan's tokens show. A damaged video ends its own request, which leaves the plan."""
        shares, chunks = [], []
        for request, size in plan.shares:
            try:
                chunks.append(self._runner.chunk(request.sequence, size))
            except Exception as error:
                self._fail(request, error)
            else:
                shares.append((request, size))
        return replace(plan, shares=tuple(shares)), chunks

    def fail_all(self, error: Exception) -> None:
        """End every request with `error`."""
        for request in list(self._scheduler.requests()):
            self._fail(request, error)

    def _advance(self, request: Request, num_tokens: int, logits: npt.NDArray[np.float32]) -> None:
        sequence = request.sequence
        scored_from = sequence.prompt_logits_from
        # Only now: if the pass failed, the tokens were not computed.
        sequence.advance(num_tokens)
        self.pool.commit(sequence)
        if request.num_generated == 0:
            scores = () if scored_from is None else request.score(scored_from, logits)
            request.deliver(Prefilled(sequence.num_computed, sequence.num_prompt_tokens, scores))

    def _choose(self, request: Request, logits: npt.NDArray[np.float32]) -> None:
        if request.max_tokens == 0:
            self._scheduler.remove(request)
            self._count_finished(request)
            request.deliver(Ended(reason="length"))
            return
        try:
            emitted = request.sample(logits)
        except Exception as error:
            self._fail(request, error)
            return
        if request.first_token_at is None:
            request.first_token_at = time.perf_counter()
            self._counts.prompt_tokens += request.sequence.num_prompt_tokens
            self._counts.cached_tokens += request.sequence.num_cached_tokens
        self._counts.generated_tokens += 1
        if emitted.finish_reason is not None:
            self._scheduler.remove(request)
            self._count_finished(request)
        request.deliver(emitted)

    def _count_finished(self, request: Request) -> None:
        self._counts.num_finished += 1
        if request.admitted_at is not None:
            seconds = time.perf_counter() - request.admitted_at
            self.mean_request_s += (seconds - self.mean_request_s) / 16

    def _fail(self, request: Request, error: Exception) -> None:
        self._scheduler.remove(request, keep=False)
        self._counts.num_failed += 1
        request.deliver(Ended(error))
