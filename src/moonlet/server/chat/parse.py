"""A chat body to a job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from moonlet.chat.messages import Message, parse_messages
from moonlet.chat.tools import parse_tools
from moonlet.engine.response_format import parse_response_format
from moonlet.engine.tool_choice import parse_tool_choice
from moonlet.engine.turn import Turn
from moonlet.errors import PromptError
from moonlet.server.chat.schema import ChatBody, StreamOptions
from moonlet.server.job import Job
from moonlet.server.rules import Rules
from moonlet.server.sampling import build_sampling, parse_logit_bias
from moonlet.server.thinking import ThinkingWish
from moonlet.server.vendor_policy import check_vendor_policy


def parse_chat(body: ChatBody, rules: Rules) -> Job:
    """What `body` asks for. Raises PromptError naming the field that cannot be obeyed."""
    for name, instead in (("functions", "tools"), ("function_call", "tool_choice")):
        if getattr(body, name) is not None:
            raise PromptError(f"{name}: no longer supported; use {instead}")
    if body.top_logprobs is not None and not body.logprobs:
        raise PromptError("top_logprobs: needs logprobs: true beside it")
    wish = ThinkingWish(
        thinking=body.thinking,
        chat_template_kwargs=body.chat_template_kwargs,
        enable_thinking=body.enable_thinking,
        reasoning_effort=body.reasoning_effort,
        reasoning=body.reasoning,
        think=body.think,
    )
    thinking = wish.is_on is not False
    sampling = build_sampling(
        rules,
        thinking=thinking,
        max_tokens=body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens,
        stop=body.stop,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        seed=body.seed,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        logit_bias=parse_logit_bias(body.logit_bias, rules.vocab_size),
    )
    tools = parse_tools(body.tools)
    if rules.param_policy == "vendor":
        check_vendor_policy(sampling, tools, thinking=thinking)
    turn = Turn(
        messages=parse_history(body.messages),
        sampling=sampling,
        tools=tools,
        thinking=thinking,
        tool_choice=parse_tool_choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        json_output=parse_response_format(body.response_format),
        thinking_budget=body.thinking_token_budget,
        continues_last=_continues_last(body),
        preserve_thinking=rules.preserve_thinking and wish.preserves,
    )
    options = body.stream_options or StreamOptions()
    return Job(turn, bool(body.stream), include_usage=bool(options.include_usage), wants_timings=bool(body.timings))


def parse_history(messages: list[Any]) -> tuple[Message, ...]:
    """The conversation; `developer` is another name for the system. Raises PromptError."""
    return tuple(
        replace(message, role="system") if message.role == "developer" else message
        for message in parse_messages(messages)
    )


def _continues_last(body: ChatBody) -> bool:
    if body.continue_final_message and body.add_generation_prompt:
        raise PromptError("continue_final_message: cannot be true together with add_generation_prompt")
    last = len(body.messages) - 1
    partial = False
    for index, message in enumerate(body.messages):
        if not isinstance(message, dict) or message.get("partial") is None:
            continue
        if not isinstance(message["partial"], bool):
            raise PromptError(f"messages[{index}].partial: expected true or false")
        if message["partial"] and (index != last or message.get("role") != "assistant"):
            raise PromptError(f"messages[{index}].partial: only the last message, one of the assistant, can be partial")
        partial = partial or message["partial"]
    return partial or bool(body.continue_final_message)
