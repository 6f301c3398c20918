"""How the next token is chosen and when a reply ends: one frozen value, checked once, at construction."""

from __future__ import annotations

import math
from dataclasses import dataclass

from moonlet.errors import PromptError

MAX_STOP_STRINGS = 16
MAX_TOP_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """What a caller may ask of sampling. Everything accepted here is obeyed; the rest raises PromptError by name.

    Tokens are chosen in this order: penalties, temperature, top_k, top_p, min_p, draw (see sampler.py).

    temperature: 0 to 2; 0 takes the most probable token, the lowest id among equals.
    top_p: above 0, up to 1; the smallest set of tokens that holds this much probability (of what top_k left).
    top_k: only so many tokens; None or 0 for all.
    min_p: 0 to 1; drops tokens less probable than min_p times the best.
    repetition_penalty: above 0; over prompt and output. 1 is none.
    presence_penalty, frequency_penalty: -2 to 2; over the output. 0 is none.
    seed: any int; the same seed and request give the same tokens. None draws a seed, which the reply reports.
    max_tokens: most tokens of the reply, thinking included. None fills the context.
    stop: up to 16 strings that end the reply and are not part of it; in a chat they are matched in the answer, never in
        the thinking or in tool calls.
    stop_token_ids: ids that end the reply beside the model's own; they are not part of the text.
    logprobs: None for none; n for the chosen token's log-probability and the n (0 to 20) most probable ones beside it,
        from the model's own distribution, before penalties, temperature and cuts.
    ignore_eos: go on past the model's own end of turn.
    """

    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int | None = None
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    logprobs: int | None = None
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        _number("temperature", self.temperature, 0, 2)
        _number("top_p", self.top_p, 0, 1, above_low=True)
        _number("min_p", self.min_p, 0, 1)
        _number("repetition_penalty", self.repetition_penalty, 0, math.inf, above_low=True)
        _number("presence_penalty", self.presence_penalty, -2, 2)
        _number("frequency_penalty", self.frequency_penalty, -2, 2)
        _integer("top_k", self.top_k, 0, None)
        _integer("seed", self.seed, None, None)
        _integer("max_tokens", self.max_tokens, 1, None)
        _integer("logprobs", self.logprobs, 0, MAX_TOP_LOGPROBS)
        _items("stop", self.stop, str, "strings")
        if len(self.stop) > MAX_STOP_STRINGS:
            raise PromptError(f"stop: found {len(self.stop)} strings, expected at most {MAX_STOP_STRINGS}")
        if "" in self.stop:
            raise PromptError("stop: found an empty string, expected at least one character in each")
        _items("stop_token_ids", self.stop_token_ids, int, "token ids")
        for token_id in self.stop_token_ids:
            _integer("stop_token_ids", token_id, 0, None)
        if not isinstance(self.ignore_eos, bool):
            raise PromptError(f"ignore_eos: found {self.ignore_eos!r}, expected true or false")

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0

    @property
    def has_penalties(self) -> bool:
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0


def default_sampling(thinking: bool) -> SamplingParams:
    """The published defaults: temperature 1.0 when thinking, 0.6 in instant mode, top_p 0.95 in both.

    Source: model card of moonshotai/Kimi-K2.5.
    """
    return SamplingParams(temperature=1.0 if thinking else 0.6, top_p=0.95)


def _number(name: str, value: object, low: float, high: float, *, above_low: bool = False) -> None:
    expected = f"a number {'above' if above_low else 'from'} {low:g}"
    expected += "" if high == math.inf else f" {'up ' if above_low else ''}to {high:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise PromptError(f"{name}: found {value!r}, expected {expected}")
    if value < low or value > high or (above_low and value == low):
        raise PromptError(f"{name}: found {value!r}, expected {expected}")


def _integer(name: str, value: object, low: int | None, high: int | None) -> None:
    if value is None:
        return
    expected = "a whole number"
    if low is not None:
        expected += f" from {low} to {high}" if high is not None else f" of at least {low}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise PromptError(f"{name}: found {value!r}, expected {expected}")
    if (low is not None and value < low) or (high is not None and value > high):
        raise PromptError(f"{name}: found {value!r}, expected {expected}")


def _items(name: str, value: object, item_type: type, plural: str) -> None:
    # A tuple and nothing else: a lone string would be read letter by letter, a list could change after the checks.
    if not isinstance(value, tuple) or not all(isinstance(item, item_type) for item in value):
        raise PromptError(f"{name}: found {value!r}, expected a tuple of {plural}")
