"""moonlet itself as a contestant."""

from __future__ import annotations

import time
from collections.abc import Sequence

from moonlet import __version__
from moonlet.engine.load import LoadedModel
from moonlet.engine.runner import Runner
from moonlet.evals.speed.laps import Lap


class OurModel:
    """A loaded model behind the engine's own runner: what is timed is what a conversation pays, but for sampling."""

    name = f"moonlet {__version__}"

    def __init__(self, model: LoadedModel, chunk_size: int) -> None:
        """chunk_size: prompt tokens of one forward pass."""
        self._runner = Runner(model, context_length=model.context_length, chunk_size=chunk_size)

    def lap(self, prompt: Sequence[int], following: Sequence[int]) -> Lap:
        """Read `prompt`, then decode `following` one by one."""
        runner = self._runner
        sequence = runner.admit(list(prompt))
        try:
            started = time.perf_counter()
            while runner.step(sequence) is None:
                pass
            read = time.perf_counter()
            for token_id in following:
                sequence.token_ids.append(token_id)
                runner.step(sequence)
            return Lap(read - started, (time.perf_counter() - read) / len(following))
        finally:
            runner.abandon(sequence)
