"""The clients of the chat API as functions, so that one test can be run with each of them, streamed and not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

Create = Callable[..., Any]
"""What clients call `chat.completions.create`."""


def openai_create(url: str) -> Create:
    """The official client."""
    openai = pytest.importorskip("openai", reason="the openai client is not installed")
    client = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0)

    def create(**ask: Any) -> Any:
        return client.chat.completions.create(model="kimi-k2.5", **ask)

    return create


def litellm_create(url: str) -> Create:
    """LiteLLM. Importing it would fetch a list of prices from the network, were it not told to leave that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        litellm = pytest.importorskip("litellm", reason="the litellm client is not installed")

    def create(**ask: Any) -> Any:
        return litellm.completion(
            model="openai/kimi-k2.5", api_base=url + "/v1", api_key="x", max_retries=0, num_retries=0, **ask
        )

    return create


CLIENTS = pytest.mark.parametrize("client", [openai_create, litellm_create], ids=["openai", "litellm"])
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@dataclass(slots=True)
class Heard:
    """A reply as the client gave it. calls: id, name and arguments of each."""

    reasoning: str | None = None
    content: str = ""
    calls: list[list[str]] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Any = None

    def to_message(self) -> dict[str, Any]:
        """For the next request, as the documentation of the API has it."""
        calls = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for call_id, name, arguments in self.calls
        ]
        message = {"role": "assistant", "content": self.content, "reasoning_content": self.reasoning}
        return {**message, "tool_calls": calls} if calls else message


def hear(create: Create, messages: list[dict[str, Any]], *, stream: bool, **ask: Any) -> Heard:
    """The reply, whole or put together from its chunks."""
    if stream:
        return _gathered(create(messages=messages, stream=True, stream_options={"include_usage": True}, **ask))
    reply = create(messages=messages, **ask)
    message = reply.choices[0].message
    calls = [[call.id, call.function.name, call.function.arguments] for call in message.tool_calls or ()]
    reasoning = getattr(message, "reasoning_content", None)
    return Heard(reasoning, message.content or "", calls, reply.choices[0].finish_reason, reply.usage)


def _gathered(chunks: Any) -> Heard:
    heard = Heard()
    for chunk in chunks:
        heard.usage = getattr(chunk, "usage", None) or heard.usage
        for choice in chunk.choices:
            heard.finish_reason = choice.finish_reason or heard.finish_reason
            heard.content += choice.delta.content or ""
            reasoning = getattr(choice.delta, "reasoning_content", None)
            if reasoning is not None:
                heard.reasoning = (heard.reasoning or "") + reasoning
            for call in choice.delta.tool_calls or ():
                if call.id:
                    heard.calls.append([call.id, call.function.name, ""])
                heard.calls[call.index][2] += call.function.arguments or ""
    return heard
