"""From one row of logits to one token.

    penalties -> constraint -> temperature -> top_k -> top_p -> min_p -> draw

The row is read alone, on one thread: sums then have one order, and a token does not depend on its neighbours in a batch
or on the number of threads (torch splits its reductions over threads). What is drawn from the row as penalties and
constraint left it is a kernel's (kernels/draw.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moonlet.engine.constraint import TokenConstraint
from moonlet.engine.params import SamplingParams
from moonlet.engine.penalties import PenaltyState
from moonlet.engine.random import uniform
from moonlet.errors import CheckpointError, ConstraintError
from moonlet.kernels import Runtime, draw

Logits = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-probabilities (natural logarithm) in the model's own distribution, before penalties, temperature and cuts."""

    chosen: float
    top: tuple[tuple[int, float], ...]
    """(token id, log-probability) of the most probable tokens, best first, the lower id first among equals."""


class Sampler:
    """Chooses the tokens of one sequence."""

    def __init__(
        self,
        rt: Runtime,
        params: SamplingParams,
        seed: int,
        vocab_size: int,
        prompt_ids: list[int],
        constraint: TokenConstraint | None = None,
    ) -> None:
        """seed: used where params.seed is None too.  vocab_size: ids from here on are never chosen."""
        self._rt = rt
        self._params = params
        self._seed = seed
        self._vocab_size = vocab_size
        self._penalties = PenaltyState(params, vocab_size, prompt_ids) if params.changes_logits else None
        self._constraint = constraint
        self._mask = None if constraint is None else np.zeros(-(-vocab_size // 32), dtype=np.uint32)
        self._step = 0

    @property
    def is_finished(self) -> bool:
        """Whether the constraint ends the reply with the token sampled last."""
        return self._constraint is not None and self._constraint.is_finished

    def sample(self, logits: Logits) -> tuple[int, TokenLogprobs | None]:
        """The next token and, where asked for, log-probabilities.

        logits: [at least vocab_size] float32, not changed. Raises CheckpointError if they are not numbers and
        ConstraintError if the constraint allows no token.
        """
        logits = self._checked(logits)
        penalised = self._penalties.apply(logits) if self._penalties is not None else logits
        allowed = self._allowed(penalised)
        token_id = int(allowed.argmax()) if self._params.is_greedy else self._drawn(allowed)
        self._step += 1
        if self._constraint is not None:
            self._constraint.accept(token_id)
        if self._penalties is not None:
            self._penalties.add(token_id)
        wanted = self._params.logprobs
        return token_id, None if wanted is None else logprobs(logits, token_id, wanted)

    def score(self, logits: Logits, token_id: int) -> TokenLogprobs:
        """Log-probabilities where the prompt goes on with `token_id`. logits and errors as in `sample`."""
        assert self._params.prompt_logprobs is not None
        return logprobs(self._checked(logits), token_id, self._params.prompt_logprobs)

    def _drawn(self, logits: Logits) -> int:
        params, number = self._params, uniform(self._seed, self._step)
        return draw(
            self._rt,
            logits,
            number,
            temperature=params.temperature,
            top_k=params.top_k,
            top_p=params.top_p,
            min_p=params.min_p,
        )

    def _checked(self, logits: Logits) -> Logits:
        logits = logits[: self._vocab_size]
        best = logits.max()
        if not np.isfinite(best):
            raise CheckpointError(
                f"the model produced {best} as a logit, expected finite numbers; "
                "check the weights with `moonlet inspect --check`"
            )
        return logits

    def _allowed(self, logits: Logits) -> Logits:
        """`logits` with minus infinity for every token that the constraint forbids."""
        if self._constraint is None or self._mask is None or not self._constraint.fill_mask(self._mask):
            return logits
        bits = np.unpackbits(self._mask.astype("<u4").view(np.uint8), count=len(logits), bitorder="little")
        if not bits.any():
            raise ConstraintError("the constraint of this reply allows no token that the vocabulary holds")
        return np.where(bits.view(np.bool_), logits, np.float32(-np.inf))


def logprobs(logits: Logits, token_id: int, count: int) -> TokenLogprobs:
    """Log-probabilities of `token_id` and of the `count` most probable tokens."""
    best = float(logits.max())
    log_sum = best + float(np.log(np.exp(logits.astype(np.float64) - best).sum()))
    top = _largest(logits, min(count, len(logits)))
    top = top[np.argsort(-logits[top], kind="stable")]
    return TokenLogprobs(
        chosen=float(logits[token_id]) - log_sum,
        top=tuple((int(index), float(logits[index]) - log_sum) for index in top),
    )


def _largest(logits: Logits, count: int) -> Ids:
    """Ids of the `count` largest logits, ascending; among equals the lower id is kept."""
    if count == 0:
        return np.empty(0, dtype=np.int64)
    block = len(logits) // (4 * count)
    if block > 1:
        # The best of each block: `count` of them are at least as large as the count-th of them, which is a bound that
        # leaves few candidates.
        peaks = logits[: len(logits) // block * block].reshape(-1, block).max(axis=1)
        candidates = np.flatnonzero(logits >= np.partition(peaks, len(peaks) - count)[len(peaks) - count])
        return candidates[_largest_of_few(logits[candidates], count)]
    return _largest_of_few(logits, count)


def _largest_of_few(logits: Logits, count: int) -> Ids:
    threshold = np.partition(logits, len(logits) - count)[len(logits) - count]
    chosen = logits > threshold
    chosen[np.flatnonzero(logits == threshold)[: count - np.count_nonzero(chosen)]] = True
    return np.flatnonzero(chosen)
