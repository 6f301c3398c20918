"""How the next token is chosen and when a reply ends: one frozen value, checked once, at construction."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from moonlet.errors import PromptError

MAX_STOP_STRINGS = 16
MAX_TOP_LOGPROBS = 20


def _parameter(default: Any, help: str) -> Any:
    """A field with the text that the command line shows for it."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """What a caller may ask of sampling. Everything accepted here is obeyed; the rest raises PromptError by name.

    Tokens are chosen in this order: penalties, temperature, top_k, top_p, min_p, draw (see sampler.py).
    """

    temperature: float = _parameter(
        1.0,
        "0 to 2; 0 takes the most probable token, the lowest id among equals. Default: what the model asks for; "
        "K2.5: 1.0 thinking, 0.6 instant.",
    )
    top_p: float = _parameter(
        0.95, "Above 0, up to 1: the smallest set of tokens that holds this much probability. Default: 0.95."
    )
    top_k: int | None = _parameter(None, "Only the so many most probable tokens; 0 for all, the default.")
    min_p: float = _parameter(0.0, "0 to 1: drop tokens less probable than this times the best. Default: 0.")
    repetition_penalty: float = _parameter(
        1.0,
        "0.001 to 1000: divides the logits of tokens in prompt and reply (multiplies negative ones). Default: 1.",
    )
    presence_penalty: float = _parameter(0.0, "-2 to 2: taken from the logits of tokens in the reply. Default: 0.")
    frequency_penalty: float = _parameter(
        0.0, "-2 to 2: taken once for each time the token is in the reply. Default: 0."
    )
    seed: int | None = _parameter(
        None, "Any whole number: the same seed and request give the same reply. Drawn and reported if not given."
    )
    max_tokens: int | None = _parameter(
        None, "Most tokens of the reply, thinking included; fills the context if not given. 0: read a raw prompt only."
    )
    stop: tuple[str, ...] = _parameter(
        (),
        "End the reply before this text, matched in the answer and not in the thinking; up to 16 may be given.",
    )
    stop_token_ids: tuple[int, ...] = _parameter((), "End the reply at this token id; may be given more than once.")
    logprobs: int | None = _parameter(
        None,
        "Report the log-probability of each token and of the so many (0 to 20) most probable ones beside it, from the "
        "model's own distribution: before penalties, temperature and cuts.",
    )
    prompt_logprobs: int | None = _parameter(
        None, "The same for the tokens of a raw prompt but the first; all of it is read for that, whatever is cached."
    )
    logit_bias: tuple[tuple[int, float], ...] = _parameter(
        (), "Add this much, -100 to 100, to the logit of a token id, given as pairs of id and bias."
    )
    ignore_eos: bool = _parameter(False, "Go on past the model's own end of turn.")

    def __post_init__(self) -> None:
        _number("temperature", self.temperature, 0, 2)
        _number("top_p", self.top_p, 0, 1, above_low=True)
        _number("min_p", self.min_p, 0, 1)
        _number("repetition_penalty", self.repetition_penalty, 0.001, 1000)
        _number("presence_penalty", self.presence_penalty, -2, 2)
        _number("frequency_penalty", self.frequency_penalty, -2, 2)
        _integer("top_k", self.top_k, 0, None)
        _integer("seed", self.seed, None, None)
        _integer("max_tokens", self.max_tokens, 0, None)
        _integer("logprobs", self.logprobs, 0, MAX_TOP_LOGPROBS)
        _integer("prompt_logprobs", self.prompt_logprobs, 0, MAX_TOP_LOGPROBS)
        _items("stop", self.stop, str, "strings")
        if len(self.stop) > MAX_STOP_STRINGS:
            raise PromptError(f"stop: found {len(self.stop)} strings, expected at most {MAX_STOP_STRINGS}")
        if "" in self.stop:
            raise PromptError("stop: found an empty string, expected at least one character in each")
        _items("stop_token_ids", self.stop_token_ids, int, "token ids")
        for token_id in self.stop_token_ids:
            _integer("stop_token_ids", token_id, 0, None)
        for token_id, bias in self.logit_bias:
            _integer("logit_bias", token_id, 0, None)
            _number("logit_bias", bias, -100, 100)
        if not isinstance(self.ignore_eos, bool):
            raise PromptError(f"ignore_eos: found {self.ignore_eos!r}, expected true or false")

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0

    @property
    def has_penalties(self) -> bool:
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0

    @property
    def changes_logits(self) -> bool:
        """Whether the logits are not the model's own when the constraint and the cuts see them."""
        return self.has_penalties or bool(self.logit_bias)


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
