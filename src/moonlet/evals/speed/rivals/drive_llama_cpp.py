"""llama.cpp through xllamacpp or llama-cpp-python, whichever is installed. Runs inside worker.py."""

from __future__ import annotations

import importlib
import time
from types import ModuleType
from typing import Any

_CHUNK = 512
"""Prompt tokens of one pass: llama.cpp's own default."""


def name() -> str:
    """Raises ImportError if neither binding is there."""
    binding = _binding()
    return f"llama.cpp ({binding.__name__} {binding.__version__})"


def _binding() -> ModuleType:
    try:
        return importlib.import_module("xllamacpp")
    except ModuleNotFoundError as cause:
        if cause.name != "xllamacpp":
            raise
        return importlib.import_module("llama_cpp")


class Engine:
    """One model on the CPU."""

    def __init__(self, model: str, num_threads: int, context_length: int) -> None:
        binding = _binding()
        make = _Server if binding.__name__ == "xllamacpp" else _Bindings
        self._engine: _Server | _Bindings = make(binding, model, num_threads, context_length)

    def lap(self, prompt: list[int], following: list[int]) -> tuple[float, float]:
        """Seconds for the prompt, and for a step on average."""
        return self._engine.lap(prompt, following)


class _Server:
    """xllamacpp gives the server, which times itself. It decodes the tokens it chooses."""

    def __init__(self, binding: Any, model: str, num_threads: int, context_length: int) -> None:
        params = binding.CommonParams()
        params.model.path = model
        params.n_ctx, params.n_gpu_layers, params.n_parallel, params.warmup = context_length, 0, 1, False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = num_threads
        self._server = binding.Server(params)

    def lap(self, prompt: list[int], following: list[int]) -> tuple[float, float]:
        # The first token comes out of the prompt; its clock for the rest starts there.
        wanted = len(following) + 1
        request = {
            "prompt": prompt,
            "max_tokens": wanted,
            "temperature": 0.0,
            "ignore_eos": True,
            "cache_prompt": False,
        }
        timings = self._server.handle_completions(request)["timings"]
        if (timings["prompt_n"], timings["predicted_n"]) != (len(prompt), wanted):
            raise RuntimeError(
                f"read {timings['prompt_n']} and wrote {timings['predicted_n']} tokens, "
                f"expected {len(prompt)} and {wanted}"
            )
        return timings["prompt_ms"] / 1e3, timings["predicted_ms"] / 1e3 / len(following)


class _Bindings:
    """llama-cpp-python evaluates the tokens it is given."""

    def __init__(self, binding: Any, model: str, num_threads: int, context_length: int) -> None:
        self._llama = binding.Llama(
            model_path=model,
            n_ctx=context_length,
            n_batch=_CHUNK,
            n_threads=num_threads,
            n_threads_batch=num_threads,
            n_gpu_layers=0,
            verbose=False,
        )

    def lap(self, prompt: list[int], following: list[int]) -> tuple[float, float]:
        self._llama.reset()
        started = time.perf_counter()
        self._llama.eval(prompt)
        read = time.perf_counter()
        for token_id in following:
            self._llama.eval([token_id])
        return read - started, (time.perf_counter() - read) / len(following)
