"""The loop of one request: prefill, then a token a step, until something ends it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from threading import Event

import numpy as np
import numpy.typing as npt

from moonlet.engine.constraint import TokenConstraint
from moonlet.engine.media import MediaSpan
from moonlet.engine.params import SamplingParams
from moonlet.engine.result import FinishReason, Timings
from moonlet.engine.runner import Runner
from moonlet.engine.sampler import Sampler, TokenLogprobs

PrefillProgress = Callable[[int, int], None]
"""Called after each prompt chunk with the prompt tokens done and in all."""


@dataclass(frozen=True, slots=True)
class GeneratedToken:
    """One sampled token. One that `is_stop` is not part of the text, and ends the reply unless ends are ignored."""

    token_id: int
    logprobs: TokenLogprobs | None
    is_stop: bool


class Generation:
    """Produces the tokens of one prompt, once. Holds pages only while `tokens` runs.

    `cancelled` may be set by any thread; generation then ends before its next forward pass.
    """

    def __init__(
        self,
        runner: Runner,
        prompt_ids: list[int],
        params: SamplingParams,
        *,
        vocab_size: int,
        stop_ids: frozenset[int],
        constraint: TokenConstraint | None = None,
        media: tuple[MediaSpan, ...] = (),
        on_prefill: PrefillProgress | None = None,
        started: float | None = None,
    ) -> None:
        """vocab_size: ids from here on are never sampled.  stop_ids: the model's own ends of a turn.

        media: what the placeholders among the prompt's ids stand for.
        started: time.perf_counter() of the caller's call, from which the first token is timed.
        Raises PromptError or ContextLengthError for a prompt that cannot be run.
        """
        runner.check_prompt(prompt_ids)
        self._started = time.perf_counter() if started is None else started
        self._runner = runner
        self._prompt_ids = prompt_ids
        self._media = media
        self._on_prefill = on_prefill
        self.seed = secrets.randbits(63) if params.seed is None else params.seed
        self.wants_logprobs = params.logprobs is not None
        self.cancelled = Event()
        self.finish_reason: FinishReason | None = None
        self._stop_ids = stop_ids | frozenset(params.stop_token_ids)
        self._ignored_ids = stop_ids.difference(params.stop_token_ids) if params.ignore_eos else frozenset()
        self._max_tokens = runner.context_length - len(prompt_ids)
        if params.max_tokens is not None:
            self._max_tokens = min(self._max_tokens, params.max_tokens)
        self._sampler = Sampler(params, self.seed, vocab_size, prompt_ids, constraint)
        self.num_cached_tokens = 0
        self.output_ids: list[int] = []
        """Everything sampled so far, the stop token included."""
        self._prefill_started: float | None = None
        self._first_token_at: float | None = None

    @property
    def num_prompt_tokens(self) -> int:
        return len(self._prompt_ids)

    def tokens(self) -> Generator[GeneratedToken, None, None]:
        """Run to the end. However this ends (return, error, the iterator closed), the sequence's pages are given up."""
        self._prefill_started = time.perf_counter()
        sequence = self._runner.admit(self._prompt_ids, self._media)
        self.num_cached_tokens = sequence.num_cached_tokens
        try:
            while self.finish_reason is None:
                if self.cancelled.is_set():
                    self.finish("cancelled")
                    break
                logits = self._runner.step(sequence)
                if self._on_prefill is not None and not self.output_ids:
                    self._on_prefill(sequence.num_computed, sequence.num_prompt_tokens)
                if logits is not None:
                    token = self._sample(logits.numpy())
                    sequence.token_ids.append(token.token_id)
                    yield token
        except GeneratorExit:
            self.finish("cancelled")
            raise
        except BaseException:
            # An interrupted pass may have left anything in the pages it was writing.
            self._runner.abandon(sequence)
            raise
        finally:
            self._runner.finish(sequence)

    def _sample(self, logits: npt.NDArray[np.float32]) -> GeneratedToken:
        token_id, logprobs = self._sampler.sample(logits)
        self.output_ids.append(token_id)
        if self._first_token_at is None:
            self._first_token_at = time.perf_counter()
        is_stop = token_id in self._stop_ids
        if (is_stop and token_id not in self._ignored_ids) or self._sampler.is_finished:
            self.finish("stop")
        elif len(self.output_ids) == self._max_tokens:
            self.finish("length")
        return GeneratedToken(token_id, logprobs, is_stop)

    def finish(self, reason: FinishReason) -> None:
        """End after the token in hand; the first reason given counts, except that a stop outdoes a limit.

        (A stop string may be completed by the very token that used up the limit.)
        """
        if self.finish_reason is None or (reason == "stop" and self.finish_reason == "length"):
            self.finish_reason = reason

    def timings(self) -> Timings:
        """Rates up to now, so to be asked for right after the end."""
        now = time.perf_counter()
        ttft_s = prefill = decode = None
        if self._first_token_at is not None and self._prefill_started is not None:
            ttft_s = self._first_token_at - self._started
            num_prefilled = self.num_prompt_tokens - self.num_cached_tokens
            prefill = _rate(num_prefilled, self._first_token_at - self._prefill_started)
            decode = _rate(len(self.output_ids) - 1, now - self._first_token_at)
        return Timings(ttft_s, prefill, decode, now - self._started)


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if count > 0 and seconds > 0 else None
