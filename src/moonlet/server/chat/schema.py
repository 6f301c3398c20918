"""The body of POST /v1/chat/completions."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from moonlet.server.schema import Body, Messages, Object, Part, Stop, ToolChoiceField, Tools
from moonlet.server.thinking import ReasoningField, TemplateKwargs, ThinkingField


class StreamOptions(Part):
    """How a stream is to be delivered."""

    include_usage: bool | None = None


class ChatBody(Body):
    """A chat request. What is absent takes the default of the model and the mode."""

    model: str | None = None
    messages: Messages
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(None, ge=-1, description="Most tokens of the reply, thinking included.")
    max_tokens: int | None = Field(None, ge=-1, description="The older name of max_completion_tokens.")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    top_k: int | None = Field(None, ge=-1, description="Only the so many most probable tokens; 0 or -1 for all.")
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, ge=0.001, le=1000)
    n: int | None = Field(None, ge=1, le=1, description="One choice a request.")
    seed: int | None = None
    stop: Stop = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    logit_bias: dict[str, float] | None = Field(None, description="Token id to a bias from -100 to 100.")
    tools: Tools = None
    tool_choice: ToolChoiceField = None
    parallel_tool_calls: bool | None = None
    response_format: Object | None = None
    thinking: ThinkingField | None = None
    chat_template_kwargs: TemplateKwargs | None = None
    enable_thinking: bool | None = None
    reasoning_effort: str | None = None
    reasoning: ReasoningField | None = None
    think: bool | None = None
    thinking_token_budget: int | None = Field(None, ge=0, description="Most tokens of thinking.")
    prompt_cache_key: str | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    timings: bool | None = Field(None, description="Report where the time went.")
    functions: Any = Field(None, description="Refused; use tools.")
    function_call: Any = Field(None, description="Refused; use tool_choice.")
