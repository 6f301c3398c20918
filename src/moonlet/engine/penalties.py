"""What is added to logits before a token is chosen: for what has been said before, and what the caller asks for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from moonlet.engine.params import SamplingParams


class PenaltyState:
    """Token counts of one sequence, kept as it grows so that a step costs one pass over the vocabulary.

    repetition_penalty r (over prompt and output): positive logits are divided by r, others multiplied by it.
    frequency_penalty f, presence_penalty p (over the output): logit - f * count - p * (count > 0).
    logit_bias b: logit + b, after the penalties.
    Sources: Keskar et al., arXiv 1909.05858 section 4.1; the OpenAI API reference. Applied in that order.
    """

    def __init__(self, params: SamplingParams, vocab_size: int, prompt_ids: Iterable[int]) -> None:
        self._params = params
        self._seen = np.zeros(vocab_size, dtype=np.bool_)
        self._seen[np.fromiter(prompt_ids, dtype=np.int64)] = True
        self._output_counts = np.zeros(vocab_size, dtype=np.float32)
        self._biased_ids = np.array([token_id for token_id, _ in params.logit_bias], dtype=np.int64)
        self._biases = np.array([bias for _, bias in params.logit_bias], dtype=np.float32)

    def add(self, token_id: int) -> None:
        """Count one generated token."""
        self._seen[token_id] = True
        self._output_counts[token_id] += 1

    def apply(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The penalised logits, a new [vocab_size] float32 array."""
        params = self._params
        penalised = logits.copy()
        if params.repetition_penalty != 1:
            factor = np.float32(params.repetition_penalty)
            seen = penalised[self._seen]
            penalised[self._seen] = np.where(seen > 0, seen / factor, seen * factor)
        if params.frequency_penalty != 0:
            penalised -= np.float32(params.frequency_penalty) * self._output_counts
        if params.presence_penalty != 0:
            penalised -= np.float32(params.presence_penalty) * (self._output_counts > 0)
        penalised[self._biased_ids] += self._biases
        return penalised
