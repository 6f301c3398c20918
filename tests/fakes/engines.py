"""Engines over scripted models, with the tokenizer of the golden tiny checkpoint."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from moonlet.chat.template import ChatTemplate
from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine import Engine
from tests.fakes.scripted_model import Script, ScriptedModel, hashing_script, reciting_script
from tests.fakes.vision import FakeEncoder

TINY = Path(__file__).parents[1] / "vectors" / "tiny-k25"


@cache
def tiny_tokenizer() -> Tokenizer:
    return Tokenizer.from_dir(TINY)


def engine_of(model: ScriptedModel, *, context_length: int = 1024, chunk_size: int = 16, **options: Any) -> Engine:
    tokenizer = tiny_tokenizer()
    template = ChatTemplate.from_dir(TINY, tokenizer)
    return Engine(model, tokenizer, template, context_length=context_length, chunk_size=chunk_size, **options)


def babbling_model() -> ScriptedModel:
    """Nonsense that depends on the context, with a liking for what ends texts, lists and numbers.

    It would never write valid JSON of itself, but where a grammar holds it, it comes to an end.
    """
    tokenizer = tiny_tokenizer()
    babble = hashing_script(tokenizer.vocab_size)
    liked = [*(tokenizer.encode(text)[0] for text in '"}]:,0123456789'), *tokenizer.special_ids.values()]

    def script(context: list[int]) -> Tensor:
        # The last tokens tell contexts apart well enough, and long replies stay quick.
        logits = babble([len(context), *context[-8:]])
        logits[liked] += 6.0
        return logits

    return model_of(script)


def model_of(script: Script, max_position_embeddings: int = 4096) -> ScriptedModel:
    return ScriptedModel(script, tiny_tokenizer().vocab_size, max_position_embeddings)


def hashing_model() -> ScriptedModel:
    """Different tokens for every context."""
    return model_of(hashing_script(tiny_tokenizer().vocab_size))


def reciting_model(*replies: str) -> ScriptedModel:
    """Says `replies`, one a turn, whatever it is asked."""
    return model_of(reciting_script(tiny_tokenizer(), replies))


def seeing_engine(context_length: int = 1024) -> Engine:
    """Different tokens for every context, and for every picture and frame in it."""
    model = hashing_model()
    model.vision = FakeEncoder()
    return engine_of(model, context_length=context_length)
