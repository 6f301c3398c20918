"""Prompts to replies: sequences, batches, sampling, and the sync face `LLM`.

The public names are resolved on first use: whoever needs the sampling parameters alone, as `moonlet chat --help` does,
must not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moonlet.engine.async_engine import AsyncEngine
    from moonlet.engine.async_stream import AsyncStream
    from moonlet.engine.completion import CompletionStream
    from moonlet.engine.constraint import TokenConstraint, TokenMask
    from moonlet.engine.engine import Engine
    from moonlet.engine.language_model import LanguageModel
    from moonlet.engine.llm import LLM
    from moonlet.engine.params import SamplingParams, default_sampling
    from moonlet.engine.reply import ReplyStream
    from moonlet.engine.result import Completion, FinishReason, Reply, Timings, TokenLogprob, TopLogprob, Usage
    from moonlet.engine.stats import EngineStats

_MODULE_OF = {
    "LLM": "llm",
    "AsyncEngine": "async_engine",
    "AsyncStream": "async_stream",
    "Completion": "result",
    "CompletionStream": "completion",
    "Engine": "engine",
    "EngineStats": "stats",
    "FinishReason": "result",
    "LanguageModel": "language_model",
    "Reply": "result",
    "ReplyStream": "reply",
    "SamplingParams": "params",
    "Timings": "result",
    "TokenConstraint": "constraint",
    "TokenLogprob": "result",
    "TokenMask": "constraint",
    "TopLogprob": "result",
    "Usage": "result",
    "default_sampling": "params",
}

__all__ = [
    "LLM",
    "AsyncEngine",
    "AsyncStream",
    "Completion",
    "CompletionStream",
    "Engine",
    "EngineStats",
    "FinishReason",
    "LanguageModel",
    "Reply",
    "ReplyStream",
    "SamplingParams",
    "Timings",
    "TokenConstraint",
    "TokenLogprob",
    "TokenMask",
    "TopLogprob",
    "Usage",
    "default_sampling",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"moonlet.engine.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'moonlet.engine' has no attribute {name!r}")
