"""Who answers the held-out problems: the real engine, with the problem's own tools where it has some."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from moonlet.chat.messages import ToolCall
from moonlet.engine import LLM, SamplingParams
from moonlet.train.conversation import Conversation, call_id
from moonlet.train.media_files import content_part
from moonlet.train.tasks.tooling import Call


class Answerer(Protocol):
    """Answers conversations greedily."""

    def answers(self, conversations: Sequence[Conversation], max_tokens: int) -> list[str | None]:
        """The visible reply to each, reasoning removed; None if it did not end in `max_tokens`, or calls were wrong."""
        ...


class EngineAnswerer:
    """The engine as every user meets it; what published scores are measured with.

    Where a problem has tools, each reply must be the one call that is right next; it gets that call's result. A wrong
    call, or one more than needed, is as good as no answer.
    """

    def __init__(self, llm: LLM, *, constrained: bool = False) -> None:
        """constrained: hold tool arguments and JSON to their schemas while sampling, as a client may ask for."""
        self._llm = llm
        self._constrained = constrained

    def answers(self, conversations: Sequence[Conversation], max_tokens: int) -> list[str | None]:
        """As `Answerer.answers`, one conversation after the other."""
        return [self._answer(conversation, max_tokens) for conversation in conversations]

    def _answer(self, conversation: Conversation, max_tokens: int) -> str | None:
        problem, messages = conversation.problem, opening(conversation)
        tools = [tool.declared(strict=self._constrained) for tool in problem.tools]
        sampling = SamplingParams(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
        is_json = self._constrained and problem.schema is not None
        shape = {"type": "json_schema", "json_schema": {"name": "asked", "schema": problem.schema}} if is_json else None
        for call in (*problem.calls, None):
            reply = self._llm.chat(
                messages, tools=tools, thinking=conversation.thinks, response_format=shape, sampling=sampling
            )
            if call is None:
                return reply.content if reply.finish_reason == "stop" else None
            if not _is_same(reply.tool_calls, call):
                return None
            messages += [reply.to_message(), _result(reply.tool_calls[0].id, call)]
        raise AssertionError("the last round returns")


def opening(conversation: Conversation) -> list[dict[str, Any]]:
    """OpenAI-style messages up to the problem's own question, as a client would send them."""
    messages: list[dict[str, Any]] = []
    if conversation.system is not None:
        messages.append({"role": "system", "content": conversation.system})
    num_calls = 0
    for exchange in conversation.exchanges:
        messages.append({"role": "user", "content": exchange.user})
        for call in exchange.calls:
            identifier = call_id(call, num_calls)
            function = {"name": call.name, "arguments": call.arguments}
            made = {"id": identifier, "type": "function", "function": function}
            messages.append({"role": "assistant", "content": "", "tool_calls": [made]})
            messages.append(_result(identifier, call))
            num_calls += 1
        messages.append({"role": "assistant", "content": exchange.reply})
    problem = conversation.problem
    parts = [content_part(picture) for picture in problem.media]
    content = [*parts, {"type": "text", "text": problem.user}] if parts else problem.user
    return [*messages, {"role": "user", "content": content}]


def _result(identifier: str, call: Call) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identifier, "content": call.result}


def _is_same(made: Sequence[ToolCall], wanted: Call) -> bool:
    """Whether exactly the wanted call was made, its arguments equal as JSON."""
    if len(made) != 1 or made[0].name != wanted.name:
        return False
    try:
        return bool(json.loads(made[0].arguments) == json.loads(wanted.arguments))
    except ValueError:
        return False
