"""A completion body to raw prompts and their sampling."""

from __future__ import annotations

from dataclasses import dataclass, replace

from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.params import SamplingParams
from moonlet.errors import PromptError
from moonlet.server.chat.schema import StreamOptions
from moonlet.server.completions.schema import CompletionBody
from moonlet.server.rules import Rules
from moonlet.server.sampling import build_sampling, parse_logit_bias
from moonlet.server.vendor_policy import check_vendor_policy

MAX_PROMPTS = 256
DEFAULT_MAX_TOKENS = 16


@dataclass(frozen=True, slots=True)
class CompletionJob:
    """Prompts to go on from, each by itself."""

    prompts: tuple[tuple[int, ...], ...]
    sampling: SamplingParams
    echo: bool
    stream: bool
    include_usage: bool


def parse_completion(body: CompletionBody, rules: Rules, tokenizer: Tokenizer) -> CompletionJob:
    """What `body` asks for. Raises PromptError naming the field that cannot be obeyed."""
    sampling = build_sampling(
        rules,
        thinking=True,
        max_tokens=body.max_tokens or DEFAULT_MAX_TOKENS,
        stop=body.stop,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        seed=body.seed,
        logprobs=body.logprobs,
        logit_bias=parse_logit_bias(body.logit_bias, rules.vocab_size),
        ignore_eos=body.ignore_eos,
    )
    if rules.param_policy == "vendor":
        check_vendor_policy(sampling, (), thinking=True)
    if body.max_tokens == 0:
        if not body.echo:
            raise PromptError("max_tokens: found 0, expected at least 1, or echo to have the prompt back alone")
        sampling = replace(sampling, max_tokens=0)
    if body.echo:
        sampling = replace(sampling, prompt_logprobs=body.logprobs)
    options = body.stream_options or StreamOptions()
    return CompletionJob(
        prompts=_prompts(body.prompt, tokenizer),
        sampling=sampling,
        echo=bool(body.echo),
        stream=bool(body.stream),
        include_usage=bool(options.include_usage),
    )


def _prompts(
    prompt: str | list[int] | list[str] | list[list[int]], tokenizer: Tokenizer
) -> tuple[tuple[int, ...], ...]:
    """Each prompt as ids. A text may spell special tokens: whoever sends raw prompts renders them himself."""
    if isinstance(prompt, str):
        return (tuple(tokenizer.encode_with_specials(prompt)),)
    if not prompt:
        raise PromptError("prompt: found an empty list, expected a text, token ids or several of them")
    if isinstance(prompt[0], int):
        return (tuple(item for item in prompt if isinstance(item, int)),)
    if len(prompt) > MAX_PROMPTS:
        raise PromptError(f"prompt: found {len(prompt)} prompts, expected at most {MAX_PROMPTS}")
    return tuple(
        tuple(tokenizer.encode_with_specials(item)) if isinstance(item, str) else tuple(_ids(item)) for item in prompt
    )


def _ids(item: object) -> list[int]:
    assert isinstance(item, list), "the schema allows nothing else"
    return item
