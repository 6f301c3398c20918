"""The bodies of POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from moonlet.server.schema import Body, Object, Part, messages_of
from moonlet.server.thinking import ThinkingField


class OutputConfig(Part):
    """What form the answer takes; effort means nothing to this model."""

    format: Object | None = None
    effort: Any = None


class MessagesBody(Body):
    """A Messages request."""

    model: str | None = None
    messages: Annotated[list[Any], messages_of("user", "assistant", "system")]
    system: str | list[Any] | None = None
    max_tokens: int | None = Field(None, ge=1)
    tools: list[Any] | None = None
    tool_choice: Object | None = None
    thinking: ThinkingField | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    stream: bool | None = None
    output_config: OutputConfig | None = None
    # Known, and of no consequence here.
    metadata: Any = None
    context_management: Any = None
    service_tier: Any = None
    mcp_servers: Any = None
