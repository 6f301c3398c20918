"""A model driven one sequence at a time, without scheduler or thread: tests look between its passes."""

from __future__ import annotations

from torch import Tensor

from moonlet.engine.language_model import LanguageModel
from moonlet.engine.media import MediaSpan
from moonlet.engine.page_pool import PagePool
from moonlet.engine.runner import Runner
from moonlet.engine.sequence import Sequence


class OneSequence:
    """admit -> step, step, ... -> finish or abandon."""

    def __init__(self, model: LanguageModel, *, context_length: int, chunk_size: int) -> None:
        self._runner = Runner(model, context_length=context_length, feature_bytes=1 << 20)
        self._chunk_size = chunk_size
        self.pool = PagePool(self._runner.cache)

    def admit(self, prompt_ids: list[int], media: tuple[MediaSpan, ...] = ()) -> Sequence:
        sequence = self._runner.open(prompt_ids, media)
        self.pool.find_prefix(sequence)
        self.pool.copy_tail(sequence)
        return sequence

    def step(self, sequence: Sequence) -> Tensor | None:
        """The logits after the last token, [vocab_size] float32; None while prompt tokens remain."""
        num_tokens = min(self._chunk_size, sequence.num_uncomputed)
        assert self.pool.reserve(sequence, num_tokens)
        chunk = self._runner.chunk(sequence, num_tokens)
        is_last = chunk.ends_sequence
        logits = self._runner.forward([chunk])
        sequence.num_computed += chunk.num_tokens
        self.pool.commit(sequence)
        return logits[0] if is_last else None

    def finish(self, sequence: Sequence) -> None:
        self.pool.release(sequence)

    def abandon(self, sequence: Sequence) -> None:
        self.pool.release(sequence, keep=False)

    def forget(self) -> None:
        self.pool.forget()
