"""One request as the engine's thread sees it, and what it hands to whoever reads the reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moonlet.engine.result import FinishReason
from moonlet.engine.sampler import Sampler, TokenLogprobs
from moonlet.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class GeneratedToken:
    """One sampled token. One that `is_stop` is not part of the text, and ends the reply unless ends are ignored."""

    token_id: int
    logprobs: TokenLogprobs | None
    is_stop: bool


@dataclass(frozen=True, slots=True)
class Prefilled:
    """So many prompt tokens are done, of so many.

    scores: ids and log-probabilities of prompt tokens, each once and in their order, where they were asked for.
    """

    num_done: int
    num_prompt_tokens: int
    scores: tuple[tuple[int, TokenLogprobs], ...] = ()


@dataclass(frozen=True, slots=True)
class Emitted:
    """A token, and why it is the last one if it is."""

    token: GeneratedToken
    finish_reason: FinishReason | None


@dataclass(frozen=True, slots=True)
class Ended:
    """No more tokens: the request was cancelled, none were wanted, or `error` ended it."""

    error: Exception | None = None
    reason: FinishReason = "cancelled"


Output = Prefilled | Emitted | Ended
"""In this order: Prefilled any number of times, then Emitted; the last one is an Emitted with a reason, or Ended."""

Deliver = Callable[[Output], None]
"""Called on the engine's thread; must neither block nor raise."""


@dataclass(slots=True, eq=False)
class Request:
    """Belongs to the engine's thread once submitted, but for `num_wanted` and `left_for`, which its reader sets.

    stop_ids: tokens that are not part of the text.  ignored_ids: those of them that end nothing.
    num_wanted: tokens that may be made, as far as the reader has asked; None for all. Until more are wanted the request
        rests, and is the first to give up its pages.
    left_for: why its reader reads no more: cancelled, or stop where it found a stop string.
    """

    sequence: Sequence
    sampler: Sampler
    stop_ids: frozenset[int]
    ignored_ids: frozenset[int]
    max_tokens: int
    num_wanted: int | None = None
    left_for: FinishReason | None = None
    arrival: int = 0
    deliver: Deliver = lambda _: None
    num_generated: int = 0
    admitted_at: float | None = None
    """time.perf_counter() of its first admission; None while it waits for that."""
    first_token_at: float | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether its reader wants the next token."""
        return self.num_wanted is None or self.num_generated < self.num_wanted

    @property
    def is_decoding(self) -> bool:
        """Whether only the token sampled last, or the last of the prompt, is left to compute."""
        return self.sequence.num_uncomputed == 1

    def score(self, position: int, logits: npt.NDArray[np.float32]) -> tuple[tuple[int, TokenLogprobs], ...]:
        """The prompt tokens behind `position` and further on. logits: [n, vocab_size], of the tokens before them."""
        following = self.sequence.token_ids[position + 1 : self.sequence.num_prompt_tokens]
        return tuple((one, self.sampler.score(row, one)) for one, row in zip(following, logits, strict=False))

    def sample(self, logits: npt.NDArray[np.float32]) -> Emitted:
        """Choose the token after the sequence and append it."""
        token_id, logprobs = self.sampler.sample(logits)
        self.sequence.append(token_id)
        self.num_generated += 1
        is_stop = token_id in self.stop_ids
        reason: FinishReason | None = None
        if (is_stop and token_id not in self.ignored_ids) or self.sampler.is_finished:
            reason = "stop"
        elif self.num_generated == self.max_tokens:
            reason = "length"
        return Emitted(GeneratedToken(token_id, logprobs, is_stop), reason)
