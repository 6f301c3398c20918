"""From one row of logits to one token.

    penalties -> constraint -> temperature -> top_k -> top_p -> min_p -> draw

The row is read alone, in numpy, on one thread: sums then have one order, and a token does not depend on its neighbours
in a batch or on the number of threads (torch splits its reductions over threads). Probabilities are float64.

No step sorts the vocabulary. top_p needs only the probability below which tokens fall out, and that is found by a
histogram over probability with a sort inside the one bin where the mass is reached; the draw then walks the kept tokens
by id. At 163,840 tokens this is about a millisecond for the flattest distribution; a sort alone takes ten.
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

Logits = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

_DRAW_BLOCK = 512
_NUCLEUS_BLOCK = 8192
# The upper half of 1.0 as a float32.
_BIN_OF_ONE = 0x3F80


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
        params: SamplingParams,
        seed: int,
        vocab_size: int,
        prompt_ids: list[int],
        constraint: TokenConstraint | None = None,
    ) -> None:
        """seed: used where params.seed is None too.  vocab_size: ids from here on are never chosen."""
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
        if self._params.is_greedy:
            token_id = int(allowed.argmax())
        else:
            token_id = draw(distribution(allowed, self._params), uniform(self._seed, self._step))
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


def distribution(logits: Logits, params: SamplingParams) -> Floats:
    """The weight of every token relative to the best one, [vocab_size] float64; 0 for tokens that cannot be drawn.

    params.temperature must be above 0.
    """
    if params.top_k and params.top_k < len(logits):
        kept = _largest(logits, params.top_k)
        weights = np.zeros(len(logits))
        weights[kept] = _cut(logits[kept], params)
        return weights
    return _cut(logits, params)


def _cut(logits: Logits, params: SamplingParams) -> Floats:
    """Weights after temperature, top_p and min_p, as in `distribution`."""
    # One array, worked on in place: fresh memory of this size costs more than the arithmetic.
    weights = logits.astype(np.float64)
    weights -= weights.max()
    weights /= params.temperature
    np.exp(weights, out=weights)
    if params.top_p < 1:
        _keep_nucleus(weights, params.top_p)
    if params.min_p > 0:
        # The best token's weight is 1 and it has survived every cut.
        weights[weights < params.min_p] = 0
    return weights


def draw(weights: Floats, number: float) -> int:
    """The index at which the running sum of `weights` passes `number` (in [0, 1)) of the whole; its weight is not 0."""
    # Block by block, then inside one block: a running sum of the whole vocabulary would cost half a millisecond.
    block_edges = np.cumsum(np.add.reduceat(weights, np.arange(0, len(weights), _DRAW_BLOCK)))
    wanted = number * block_edges[-1]
    block = _passes(block_edges, wanted)
    first = block * _DRAW_BLOCK
    edges = np.cumsum(weights[first : first + _DRAW_BLOCK])
    return first + _passes(edges, wanted - (block_edges[block - 1] if block else 0.0))


def _passes(edges: Floats, wanted: float) -> int:
    """The first index whose edge is above `wanted`; where rounding leaves none, the first to reach the last edge."""
    index = int(np.searchsorted(edges, wanted, side="right"))
    return index if index < len(edges) else int(np.searchsorted(edges, edges[-1]))


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


def _keep_nucleus(weights: Floats, top_p: float) -> None:
    """Zero all but the smallest set of tokens with `top_p` of the mass; among equals the lower index is kept.

    weights: from 0 to 1, the largest being 1.
    """
    # In blocks that stay in the processor's cache: fresh arrays of this size cost more than the arithmetic.
    blocks = [slice(first, first + _NUCLEUS_BLOCK) for first in range(0, len(weights), _NUCLEUS_BLOCK)]
    histogram = np.zeros(_BIN_OF_ONE + 1)
    for block in blocks:
        histogram += np.bincount(_bins(weights[block]), weights=weights[block], minlength=len(histogram))
    mass = np.cumsum(histogram)
    wanted = top_p * mass[-1]
    # The set is some whole bins and, sorted, a part of the one in which the mass is reached.
    last_bin = int(np.searchsorted(mass, wanted))
    in_last = []
    for block in blocks:
        bins = _bins(weights[block])
        in_last.append(np.flatnonzero(bins == last_bin) + block.start)
        weights[block][bins > last_bin] = 0
    edge = np.concatenate(in_last)
    edge = edge[np.argsort(-weights[edge], kind="stable")]
    missing = wanted - (mass[last_bin - 1] if last_bin else 0.0)
    reached = int(np.searchsorted(np.cumsum(weights[edge]), missing))
    weights[edge[reached + 1 :]] = 0


def _bins(weights: Floats) -> npt.NDArray[np.int32]:
    """0 for a weight of 1, rising as it falls, 128 bins a halving: a positive float32's upper half keeps its order."""
    return _BIN_OF_ONE - (weights.astype(np.float32).view(np.int32) >> 16)
