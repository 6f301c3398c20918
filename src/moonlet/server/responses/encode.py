"""Events of a reply to a response object, whole or as the events that build it up. Every event is numbered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from moonlet.chat.events import ContentDelta, Event, ReasoningDelta, ToolCallArguments, ToolCallEnd, ToolCallStart
from moonlet.chat.messages import ToolCall
from moonlet.engine.result import Reply, TokenLogprob, Usage
from moonlet.server import sse
from moonlet.server.errors import ApiError
from moonlet.server.reply_view import complete_calls, is_complete, new_id, shown_reason
from moonlet.server.responses.tools import ToolTable

Item = dict[str, Any]
"""An output item as the API shows it."""


@dataclass(frozen=True, slots=True)
class Shell:
    """What of the response object is known from the start: what was asked, echoed."""

    id: str
    created: int
    model: str
    echoed: dict[str, Any]

    def filled(self, status: str, output: Sequence[Item], **fields: Any) -> dict[str, Any]:
        """The response object."""
        base = {"id": self.id, "object": "response", "created_at": self.created, "status": status}
        rest: dict[str, Any] = {"error": None, "incomplete_details": None, "usage": None, **fields}
        return {**base, "model": self.model, "output": list(output), **self.echoed, **rest}


def finished(shell: Shell, reply: Reply, output: Sequence[Item]) -> dict[str, Any]:
    """The response object of a reply that came to its end."""
    usage = usage_field(reply.usage)
    if shown_reason(reply) == "length":
        details = {"reason": "max_output_tokens"}
        return shell.filled("incomplete", output, usage=usage, incomplete_details=details)
    return shell.filled("completed", output, usage=usage)


def whole(shell: Shell, reply: Reply, table: ToolTable) -> dict[str, Any]:
    """The body of a reply that was not streamed."""
    output: list[Item] = []
    if reply.reasoning:
        output.append(reasoning_item(new_id("rs_"), reply.reasoning))
    if reply.content:
        output.append(message_item(new_id("msg_"), reply.content))
    output.extend(call_item(new_id("fc_"), call, table) for call in complete_calls(reply))
    return finished(shell, reply, output)


def reasoning_item(item_id: str, text: str, status: str = "completed") -> Item:
    """Thinking. The encrypted form is the text itself: it is the client's own."""
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {
        "id": item_id,
        "type": "reasoning",
        "status": status,
        "summary": [],
        "content": content,
        "encrypted_content": text or None,
    }


def message_item(item_id: str, text: str, status: str = "completed") -> Item:
    """The answer."""
    content = [text_part(text)] if status == "completed" else []
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}


def text_part(text: str) -> Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call_item(item_id: str, call: ToolCall, table: ToolTable, status: str = "completed") -> Item:
    """A call, under the name and in the namespace the client gave it."""
    origin = table.origin(call.name)
    item: Item = {"id": item_id, "status": status, "call_id": call.id, "name": origin.name}
    if origin.is_custom:
        return {**item, "type": "custom_tool_call", "input": _custom_input(call.arguments)}
    if origin.namespace is not None:
        item["namespace"] = origin.namespace
    return {**item, "type": "function_call", "arguments": call.arguments}


def _custom_input(arguments: str) -> str:
    try:
        value = json.loads(arguments or "{}").get("input", "")
    except (ValueError, AttributeError):
        return arguments
    return value if isinstance(value, str) else arguments


@dataclass(slots=True)
class _OpenItem:
    """The item being written. kind: reasoning, message or call."""

    kind: str
    id: str
    index: int
    call: ToolCall | None = None
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)


class ResponseEncoder:
    """The events of one stream."""

    def __init__(self, shell: Shell, table: ToolTable) -> None:
        self._shell = shell
        self._table = table
        self._sequence_number = -1
        self._output: list[Item] = []
        self._open: _OpenItem | None = None

    def start(self) -> Iterator[bytes]:
        """The empty response."""
        yield self._event("response.created", response=self._shell.filled("in_progress", ()))
        yield self.keep_alive()

    def push(self, event: Event, logprobs: Sequence[TokenLogprob]) -> Iterator[bytes]:  # noqa: ARG002
        """What `event` brings."""
        match event:
            case ReasoningDelta(text):
                yield from self._enter("reasoning", "rs_")
                yield self._text("response.reasoning_text.delta", text)
            case ContentDelta(text):
                yield from self._enter("message", "msg_")
                yield self._text("response.output_text.delta", text)
            case ToolCallStart(_, call_id, name):
                yield from self._leave()
                yield from self._enter("call", "fc_", ToolCall(call_id, name, ""))
            case ToolCallArguments(_, text):
                assert self._open is not None
                if self._is_custom(self._open):
                    # A custom tool's text is known only when the JSON around it is complete.
                    self._open.texts.append(text)
                else:
                    yield self._text("response.function_call_arguments.delta", text)
            case ToolCallEnd():
                yield from self._leave()

    def finish(self, reply: Reply) -> Iterator[bytes]:
        """The whole response."""
        yield from self._leave()
        response = finished(self._shell, reply, self._output)
        yield self._event(f"response.{response['status']}", response=response)

    def fail(self, error: ApiError) -> Iterator[bytes]:
        """A response that failed."""
        details = {"code": error.kind.code or error.kind.openai, "message": error.message}
        yield self._event("response.failed", response=self._shell.filled("failed", self._output, error=details))

    def keep_alive(self) -> bytes:
        """A sign of life; this API's clients take comments for silence."""
        return self._event("response.in_progress", response=self._shell.filled("in_progress", self._output))

    def _is_custom(self, item: _OpenItem) -> bool:
        return item.call is not None and self._table.origin(item.call.name).is_custom

    def _enter(self, kind: str, prefix: str, call: ToolCall | None = None) -> Iterator[bytes]:
        if self._open is not None and self._open.kind == kind:
            return
        yield from self._leave()
        item = self._open = _OpenItem(kind, new_id(prefix), len(self._output), call)
        yield self._event("response.output_item.added", output_index=item.index, item=self._shown(item, "in_progress"))
        if kind == "message":
            yield self._part("response.content_part.added", item, text_part(""))

    def _leave(self) -> Iterator[bytes]:
        item, self._open = self._open, None
        if item is None:
            return
        where = {"item_id": item.id, "output_index": item.index}
        if item.kind == "reasoning":
            yield self._event("response.reasoning_text.done", **where, content_index=0, text=item.text)
        elif item.kind == "message":
            yield self._event("response.output_text.done", **where, content_index=0, text=item.text, logprobs=[])
            yield self._part("response.content_part.done", item, text_part(item.text))
        elif self._is_custom(item):
            text = _custom_input(item.text)
            yield self._event("response.custom_tool_call_input.delta", **where, delta=text)
            yield self._event("response.custom_tool_call_input.done", **where, input=text)
        else:
            name = self._shown(item, "completed")["name"]
            yield self._event("response.function_call_arguments.done", **where, name=name, arguments=item.text)
        cut_off = item.call is not None and not is_complete(item.text)
        shown = self._shown(item, "incomplete" if cut_off else "completed")
        if not cut_off:
            self._output.append(shown)
        yield self._event("response.output_item.done", output_index=item.index, item=shown)

    def _shown(self, item: _OpenItem, status: str) -> Item:
        if item.kind == "reasoning":
            return reasoning_item(item.id, item.text, status)
        if item.call is None:
            return message_item(item.id, item.text, status)
        return call_item(item.id, ToolCall(item.call.id, item.call.name, item.text), self._table, status)

    def _text(self, name: str, text: str) -> bytes:
        item = self._open
        assert item is not None
        item.texts.append(text)
        where: dict[str, Any] = {"item_id": item.id, "output_index": item.index}
        if item.kind != "call":
            where["content_index"] = 0
        if item.kind == "message":
            where["logprobs"] = []
        return self._event(name, **where, delta=text)

    def _part(self, name: str, item: _OpenItem, part: Item) -> bytes:
        return self._event(name, item_id=item.id, output_index=item.index, content_index=0, part=part)

    def _event(self, event: str, /, **fields: Any) -> bytes:
        self._sequence_number += 1
        return sse.event(event, {"type": event, "sequence_number": self._sequence_number, **fields})


def usage_field(usage: Usage) -> dict[str, Any]:
    """Token counts under this API's names."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
