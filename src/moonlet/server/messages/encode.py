"""Events of a reply to the blocks of the Messages API, whole or streamed. Blocks follow each other, never overlap."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from moonlet.chat.events import ContentDelta, Event, ReasoningDelta, ToolCallArguments, ToolCallEnd, ToolCallStart
from moonlet.engine.result import Reply, TokenLogprob, Usage
from moonlet.server import sse
from moonlet.server.errors import ApiError
from moonlet.server.reply_view import complete_calls, new_id, shown_reason

SIGNATURE = "moonlet"
"""Clients send the thinking back only with a signature; here it needs no proof of where it came from."""

_STOP_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}


def whole(reply: Reply, message_id: str, model: str) -> dict[str, Any]:
    """The body of a reply that was not streamed."""
    blocks: list[dict[str, Any]] = []
    if reply.reasoning:
        blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": SIGNATURE})
    if reply.content:
        blocks.append({"type": "text", "text": reply.content})
    for call in complete_calls(reply):
        block = {"type": "tool_use", "id": new_id("toolu_"), "name": call.name, "input": json.loads(call.arguments)}
        blocks.append(block)
    return {
        **_message(message_id, model),
        "content": blocks,
        "stop_reason": _stop_reason(reply),
        "stop_sequence": reply.stop_string,
        "usage": usage_field(reply.usage),
    }


class MessageEncoder:
    """The events of one stream."""

    def __init__(self, message_id: str, model: str, num_prompt_tokens: int, request_id: str) -> None:
        self._message_id = message_id
        self._model = model
        self._num_prompt_tokens = num_prompt_tokens
        self._request_id = request_id
        self._open: Literal["thinking", "text", "tool_use"] | None = None
        self._index = -1

    def start(self) -> Iterator[bytes]:
        """The empty message, before anything is known but the length of the prompt."""
        usage = {
            "input_tokens": self._num_prompt_tokens,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "output_tokens": 0,
        }
        message = {
            **_message(self._message_id, self._model),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        yield _event("message_start", message=message)
        yield self.keep_alive()

    def push(self, event: Event, logprobs: Sequence[TokenLogprob]) -> Iterator[bytes]:  # noqa: ARG002
        """What `event` brings; this API has no log-probabilities."""
        match event:
            case ReasoningDelta(text):
                yield from self._enter("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                yield self._delta({"type": "thinking_delta", "thinking": text})
            case ContentDelta(text):
                yield from self._enter("text", {"type": "text", "text": ""})
                yield self._delta({"type": "text_delta", "text": text})
            case ToolCallStart(_, _, name):
                yield from self._leave()
                block = {"type": "tool_use", "id": new_id("toolu_"), "name": name, "input": {}}
                yield from self._enter("tool_use", block)
            case ToolCallArguments(_, text):
                yield self._delta({"type": "input_json_delta", "partial_json": text})
            case ToolCallEnd():
                yield from self._leave()

    def finish(self, reply: Reply) -> Iterator[bytes]:
        """Reason and usage."""
        yield from self._leave()
        delta = {"stop_reason": _stop_reason(reply), "stop_sequence": reply.stop_string}
        yield _event("message_delta", delta=delta, usage=usage_field(reply.usage))
        yield _event("message_stop")

    def fail(self, error: ApiError) -> Iterator[bytes]:
        """The error as an event."""
        yield sse.event("error", error.anthropic_body(self._request_id))

    def keep_alive(self) -> bytes:
        """A sign of life."""
        return _event("ping")

    def _enter(self, kind: Literal["thinking", "text", "tool_use"], block: dict[str, Any]) -> Iterator[bytes]:
        if self._open == kind:
            return
        yield from self._leave()
        self._open = kind
        self._index += 1
        yield _event("content_block_start", index=self._index, content_block=block)

    def _leave(self) -> Iterator[bytes]:
        if self._open is None:
            return
        if self._open == "thinking":
            yield self._delta({"type": "signature_delta", "signature": SIGNATURE})
        self._open = None
        yield _event("content_block_stop", index=self._index)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)


def usage_field(usage: Usage) -> dict[str, Any]:
    """Token counts; those found in the cache are not among `input_tokens`."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": usage.completion_tokens,
    }


def _stop_reason(reply: Reply) -> str:
    reason = shown_reason(reply)
    if reason == "stop" and reply.stop_string is not None:
        return "stop_sequence"
    return _STOP_REASONS[reason]


def _message(message_id: str, model: str) -> dict[str, Any]:
    return {"id": message_id, "type": "message", "role": "assistant", "model": model}


def _event(name: str, **fields: Any) -> bytes:
    return sse.event(name, {"type": name, **fields})
