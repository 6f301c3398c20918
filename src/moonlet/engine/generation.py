"""A request and what its reader has of it so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from queue import SimpleQueue

from moonlet.engine.request import Deliver, Emitted, Ended, GeneratedToken, Output, Prefilled, Request
from moonlet.engine.result import FinishReason, Timings
from moonlet.engine.sampler import TokenLogprobs
from moonlet.engine.worker import Worker

PrefillProgress = Callable[[int, int], None]
"""Called after each prompt chunk with the prompt tokens done and in all."""


class Generation:
    """The reader's end of one request. Used by one reader; `cancel` may be called by anyone."""

    def __init__(
        self,
        worker: Worker,
        request: Request,
        *,
        seed: int,
        wants_logprobs: bool,
        in_step: bool,
        on_prefill: PrefillProgress | None = None,
        started: float,
    ) -> None:
        """in_step: the engine makes a token of `outputs` when it is asked for, none ahead.

        started: time.perf_counter() of the caller's call, from which the first token is timed."""
        self._worker = worker
        self._request = request
        self._in_step = in_step
        self._on_prefill = on_prefill
        self._started = started
        self.seed = seed
        self.wants_logprobs = wants_logprobs
        self.finish_reason: FinishReason | None = None
        self.output_ids: list[int] = []
        """Everything read so far, the stop token included."""
        self.prompt_scores: list[tuple[int, TokenLogprobs]] = []
        """Of the prompt tokens but the first, as far as they are read, where they were asked for."""

    @property
    def num_prompt_tokens(self) -> int:
        return self._request.sequence.num_prompt_tokens

    @property
    def num_cached_tokens(self) -> int:
        """Prompt tokens found in the cache; final once the first token is there."""
        return self._request.sequence.num_cached_tokens

    def submit(self, deliver: Deliver) -> None:
        """Queue the request. Whoever gets its outputs passes each to `receive`. Raises as `Worker.submit`."""
        self._worker.submit(self._request, deliver)

    def outputs(self) -> Generator[Output, None, None]:
        """Queue the request and yield what it delivers, on the reader's thread. Closing the generator cancels it."""
        delivered: SimpleQueue[Output] = SimpleQueue()
        if self._in_step:
            self._request.num_wanted = 0
        self.submit(delivered.put)
        try:
            while self.finish_reason is None:
                if self._in_step:
                    self._request.num_wanted = len(self.output_ids) + 1
                    self._worker.wake()
                yield delivered.get()
        finally:
            self.cancel()

    def receive(self, output: Output) -> GeneratedToken | None:
        """Take in one output; returns the token in it. Raises the error that ended the request."""
        match output:
            case Prefilled(num_done, num_prompt_tokens, scores):
                self.prompt_scores += scores
                if self._on_prefill is not None:
                    self._on_prefill(num_done, num_prompt_tokens)
            case Emitted(token, reason):
                self.output_ids.append(token.token_id)
                self.finish_reason = reason
                return token
            case Ended(None, reason):
                self.finish_reason = reason
            case Ended(error, _):
                assert error is not None
                raise error
        return None

    def finish(self, reason: FinishReason) -> None:
        """End after the token in hand; the first reason given counts, except that a stop outdoes a limit.

        (A stop string may be completed by the very token that used up the limit.)
        """
        if self.finish_reason is None or (reason == "stop" and self.finish_reason == "length"):
            self.finish_reason = reason
        self._leave(reason)

    def cancel(self) -> None:
        """Have the engine drop the request, if it is still open, within one forward pass. Returns at once."""
        self._leave("cancelled")

    def _leave(self, reason: FinishReason) -> None:
        if self._request.left_for is None:
            self._request.left_for = reason
        self._worker.wake()

    def timings(self) -> Timings:
        """Rates up to now, so to be asked for right after the end."""
        now = time.perf_counter()
        admitted_at, first_token_at = self._request.admitted_at, self._request.first_token_at
        ttft_s = prefill = decode = None
        if first_token_at is not None and admitted_at is not None:
            ttft_s = first_token_at - self._started
            prefill = _rate(self.num_prompt_tokens - self.num_cached_tokens, first_token_at - admitted_at)
            decode = _rate(len(self.output_ids) - 1, now - first_token_at)
        return Timings(ttft_s, prefill, decode, now - self._started)


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if count > 0 and seconds > 0 else None
