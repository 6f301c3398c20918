"""The body of POST /v1/responses."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from moonlet.server.schema import Body, Object, Part, ToolChoiceField
from moonlet.server.thinking import ReasoningField, TemplateKwargs, ThinkingField


class TextField(Part):
    """What form the answer takes."""

    format: Object | None = None
    verbosity: Any = None


class ResponsesBody(Body):
    """A Responses request. No state is kept: the whole conversation is in `input`."""

    model: str | None = None
    input: str | list[Any] = Field(description="A text, or items.")
    instructions: str | None = None
    tools: list[Any] | None = None
    tool_choice: ToolChoiceField = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    text: TextField | None = None
    reasoning: ReasoningField | None = None
    thinking: ThinkingField | None = None
    chat_template_kwargs: TemplateKwargs | None = None
    stream: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    # Known, and of no consequence here.
    store: bool | None = None
    include: Any = None
    prompt_cache_key: Any = None
    client_metadata: Any = None
    truncation: Any = None
