"""transformers on the CPU. Runs inside worker.py. It widens INT4 experts to BF16, so it needs four times the memory."""

from __future__ import annotations

import importlib
import time
from typing import Any

_CHUNK = 512
"""Prompt tokens of one pass, as ours: a whole long prompt at once would need its scores in memory."""


def name() -> str:
    """Raises ImportError if it is absent."""
    return f"transformers {importlib.import_module('transformers').__version__}"


class Engine:
    """One published checkpoint."""

    def __init__(self, model: str, num_threads: int, context_length: int) -> None:
        del context_length  # its cache grows as needed
        self._torch: Any = importlib.import_module("torch")
        self._torch.set_num_threads(num_threads)
        transformers: Any = importlib.import_module("transformers")
        self._model = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=self._torch.bfloat16)
        self._model.eval()

    def lap(self, prompt: list[int], following: list[int]) -> tuple[float, float]:
        """Seconds for the prompt, and for a step on average."""
        with self._torch.inference_mode():
            cache: Any = None
            started = time.perf_counter()
            for start in range(0, len(prompt), _CHUNK):
                cache = self._pass(prompt[start : start + _CHUNK], cache)
            read = time.perf_counter()
            for token_id in following:
                cache = self._pass([token_id], cache)
            return read - started, (time.perf_counter() - read) / len(following)

    def _pass(self, token_ids: list[int], cache: Any) -> Any:
        ids = self._torch.tensor([token_ids])
        return self._model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1).past_key_values
