"""moonlet itself as a contestant."""

from __future__ import annotations

import time
from collections.abc import Sequence

from moonlet import __version__
from moonlet.engine.batch import Chunk
from moonlet.engine.load import LoadedModel
from moonlet.engine.page_pool import PagePool
from moonlet.engine.runner import Runner
from moonlet.engine.sequence import Sequence as TokenSequence
from moonlet.evals.speed.laps import Lap


class OurModel:
    """A loaded model behind the engine's own runner: what is timed is what a conversation pays, but for sampling."""

    name = f"moonlet {__version__}"

    def __init__(self, model: LoadedModel, chunk_size: int) -> None:
        """chunk_size: prompt tokens of one forward pass."""
        self._runner = Runner(model, context_length=model.context_length)
        self._pool = PagePool(self._runner.cache)
        self._chunk_size = chunk_size

    def lap(self, prompt: Sequence[int], following: Sequence[int]) -> Lap:
        """Read `prompt`, then decode `following` one by one."""
        sequence = self._runner.open(list(prompt))
        self._pool.find_prefix(sequence)
        try:
            started = time.perf_counter()
            while sequence.num_uncomputed:
                self._step(sequence)
            read = time.perf_counter()
            for token_id in following:
                sequence.append(token_id)
                self._step(sequence)
            return Lap(read - started, (time.perf_counter() - read) / len(following))
        finally:
            self._pool.release(sequence, keep=False)
            self._pool.forget()

    def _step(self, sequence: TokenSequence) -> None:
        num_tokens = min(self._chunk_size, sequence.num_uncomputed)
        assert self._pool.reserve(sequence, num_tokens), "a lap fits into the context"
        self._runner.forward([Chunk(sequence, num_tokens)])
        sequence.num_computed += num_tokens
        self._pool.commit(sequence)
