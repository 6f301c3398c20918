"""A Responses body to a job. Its items become chat messages first, so that one parser reads every conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moonlet.chat.messages import Message
from moonlet.engine.response_format import parse_json_schema, parse_response_format
from moonlet.engine.tool_choice import parse_tool_choice
from moonlet.engine.turn import JsonOutput, Turn
from moonlet.errors import PromptError
from moonlet.server.chat.parse import parse_history
from moonlet.server.errors import NO_PREVIOUS_RESPONSE, ApiError
from moonlet.server.job import Job
from moonlet.server.responses.schema import ResponsesBody
from moonlet.server.responses.tools import ToolTable
from moonlet.server.rules import Rules
from moonlet.server.sampling import build_sampling
from moonlet.server.thinking import ThinkingWish
from moonlet.server.vendor_policy import check_vendor_policy


@dataclass(frozen=True, slots=True)
class ResponsesJob:
    """The job, and the table that leads from its functions back to the client's tools."""

    job: Job
    table: ToolTable


def parse_responses(body: ResponsesBody, rules: Rules) -> ResponsesJob:
    """What `body` asks for. Raises PromptError or ApiError naming the field that cannot be obeyed."""
    if body.previous_response_id is not None:
        raise ApiError(
            NO_PREVIOUS_RESPONSE,
            "previous_response_id: responses are not kept here; send the whole conversation as input",
            param="previous_response_id",
        )
    if body.background:
        raise PromptError("background: responses are not kept here; leave it out")
    wish = ThinkingWish(
        thinking=body.thinking, chat_template_kwargs=body.chat_template_kwargs, reasoning=body.reasoning
    )
    thinking = wish.is_on is not False
    table = ToolTable(body.tools or [])
    sampling = build_sampling(
        rules,
        thinking=thinking,
        max_tokens=body.max_output_tokens,
        stop=None,
        temperature=body.temperature,
        top_p=body.top_p,
    )
    if rules.param_policy == "vendor":
        check_vendor_policy(sampling, table.declared, thinking=thinking)
    turn = Turn(
        messages=_conversation(body, table),
        sampling=sampling,
        tools=table.declared,
        thinking=thinking,
        tool_choice=table.without_missing(parse_tool_choice(body.tool_choice)),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        json_output=_format(body),
        preserve_thinking=rules.preserve_thinking and wish.preserves,
    )
    return ResponsesJob(Job(turn, bool(body.stream), prompt_field="input"), table)


def _format(body: ResponsesBody) -> JsonOutput | None:
    if body.text is None or body.text.format is None:
        return None
    if body.text.format.get("type") == "json_schema":
        return parse_json_schema(body.text.format, "text.format")
    return parse_response_format(body.text.format)


def _conversation(body: ResponsesBody, table: ToolTable) -> tuple[Message, ...]:
    messages: list[dict[str, Any]] = []
    if body.instructions:
        messages.append({"role": "system", "content": body.instructions})
    if isinstance(body.input, str):
        messages.append({"role": "user", "content": body.input})
    else:
        reader = _ItemReader(table, messages)
        for index, item in enumerate(body.input):
            reader.read(item, f"input[{index}]")
    if not messages:
        raise PromptError("input: holds nothing that could be answered")
    return parse_history(messages)


class _ItemReader:
    """Adds items to a list of chat messages. What one turn of the assistant said stands in several items."""

    def __init__(self, table: ToolTable, messages: list[dict[str, Any]]) -> None:
        self._table = table
        self._messages = messages
        self._reasoning = ""

    def read(self, item: Any, path: str) -> None:
        """Add one item. Raises PromptError for a known kind with wrong fields; unknown kinds are passed over."""
        if not isinstance(item, Mapping):
            raise PromptError(f"{path}: expected an object")
        match item.get("type", "message"):
            case "message":
                self._message(item, path)
            case "reasoning":
                self._reasoning += _reasoning_text(item)
            case "function_call":
                name = self._table.function(_text(item, "name", path), _optional_text(item, "namespace", path))
                self._call(item, path, name, _text(item, "arguments", path))
            case "custom_tool_call":
                arguments = json.dumps({"input": _text(item, "input", path)}, ensure_ascii=False)
                self._call(item, path, _text(item, "name", path), arguments)
            case "function_call_output" | "custom_tool_call_output":
                output = item.get("output")
                if not isinstance(output, str | list):
                    raise PromptError(f"{path}.output: expected text or a list of parts")
                call_id = _text(item, "call_id", path)
                self._messages.append({"role": "tool", "tool_call_id": call_id, "content": output})

    def _message(self, item: Mapping[str, Any], path: str) -> None:
        role = item.get("role")
        if role not in ("user", "assistant", "system", "developer"):
            raise PromptError(f"{path}.role: expected user, assistant, system or developer")
        message = {"role": role, "content": item.get("content")}
        if role == "assistant":
            message["reasoning_content"], self._reasoning = self._reasoning, ""
        self._messages.append(message)

    def _call(self, item: Mapping[str, Any], path: str, name: str, arguments: str) -> None:
        call = {
            "id": _text(item, "call_id", path),
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        last = self._messages[-1] if self._messages else None
        if last is not None and last["role"] == "assistant" and not self._reasoning:
            # Text before a call, and calls made together, are one turn.
            last.setdefault("tool_calls", []).append(call)
            return
        message = {"role": "assistant", "content": "", "reasoning_content": self._reasoning, "tool_calls": [call]}
        self._reasoning = ""
        self._messages.append(message)


def _reasoning_text(item: Mapping[str, Any]) -> str:
    """What a reasoning item says: its text, else what this server put into `encrypted_content`, else its summary."""
    for key in ("content", "encrypted_content", "summary"):
        value = item.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value:
            texts = [part.get("text") for part in value if isinstance(part, Mapping)]
            return "".join(text for text in texts if isinstance(text, str))
    return ""


def _text(item: Mapping[str, Any], key: str, path: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise PromptError(f"{path}.{key}: expected text")
    return value


def _optional_text(item: Mapping[str, Any], key: str, path: str) -> str | None:
    return None if item.get(key) is None else _text(item, key, path)
