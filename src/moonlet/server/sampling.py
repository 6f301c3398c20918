"""Sampling fields, which every API has under the same names, over the defaults of the mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from moonlet.engine.params import SamplingParams
from moonlet.errors import PromptError
from moonlet.server.rules import Rules

MAX_BIASES = 1024


def build_sampling(
    rules: Rules, *, thinking: bool, max_tokens: int | None, stop: str | Sequence[str] | None, **fields: Any
) -> SamplingParams:
    """The parameters of a reply; a field of None takes its default. Raises PromptError.

    max_tokens: -1 and None are the default.
    """
    if fields.get("top_k") == -1:
        fields["top_k"] = 0
    given = {name: value for name, value in fields.items() if value is not None}
    return replace(
        rules.default_sampling(thinking),
        max_tokens=rules.limited(_wish(max_tokens)),
        stop=_stop(stop),
        **given,
    )


def _wish(max_tokens: int | None) -> int | None:
    if max_tokens == 0:
        raise PromptError("max_tokens: found 0, expected at least 1")
    return None if max_tokens == -1 else max_tokens


def _stop(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    if stop is None:
        return ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def parse_logit_bias(bias: dict[str, float] | None, vocab_size: int) -> tuple[tuple[int, float], ...]:
    """(token id, bias) in the order of the ids. Raises PromptError for an id or a bias out of range."""
    if bias is None:
        return ()
    if len(bias) > MAX_BIASES:
        raise PromptError(f"logit_bias: found {len(bias)} entries, expected at most {MAX_BIASES}")
    entries: dict[int, float] = {}
    for key, value in bias.items():
        if not key.isascii() or not key.isdigit() or len(key) > 9 or int(key) >= vocab_size:
            raise PromptError(f"logit_bias: found id {key[:20]!r}, expected ids from 0 to {vocab_size - 1}")
        if not -100 <= value <= 100:
            raise PromptError(f"logit_bias: found {value!r} for id {key}, expected -100 to 100")
        entries[int(key)] = float(value)
    return tuple(sorted(entries.items()))
