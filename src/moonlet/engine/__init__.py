"""Prompts to replies: sequences, batches, sampling, and the sync face `LLM`."""

from moonlet.engine.completion import CompletionStream
from moonlet.engine.engine import Engine
from moonlet.engine.language_model import LanguageModel
from moonlet.engine.llm import LLM
from moonlet.engine.params import SamplingParams, default_sampling
from moonlet.engine.reply import ReplyStream
from moonlet.engine.result import Completion, FinishReason, Reply, Timings, TokenLogprob, TopLogprob, Usage

__all__ = [
    "LLM",
    "Completion",
    "CompletionStream",
    "Engine",
    "FinishReason",
    "LanguageModel",
    "Reply",
    "ReplyStream",
    "SamplingParams",
    "Timings",
    "TokenLogprob",
    "TopLogprob",
    "Usage",
    "default_sampling",
]
