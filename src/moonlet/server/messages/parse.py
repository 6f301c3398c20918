"""A Messages body to a job. Its blocks become chat messages first, so that one parser reads every conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moonlet.chat.messages import Message, source_url
from moonlet.chat.tools import parse_tools
from moonlet.engine.response_format import parse_json_schema
from moonlet.engine.turn import JsonOutput, ToolChoice, Turn
from moonlet.errors import PromptError
from moonlet.server.chat.parse import parse_history
from moonlet.server.job import Job
from moonlet.server.messages.schema import MessagesBody, OutputConfig
from moonlet.server.rules import Rules
from moonlet.server.sampling import build_sampling
from moonlet.server.thinking import ThinkingField, ThinkingWish
from moonlet.server.vendor_policy import check_vendor_policy

MIN_THINKING_BUDGET = 1024
# Claude Code begins its system prompt with this line; its hash differs in every request and would spoil every prefix.
_BILLING_LINE = "x-anthropic-billing-header:"


def parse_messages_body(body: MessagesBody, rules: Rules) -> Job:
    """What `body` asks for. Raises PromptError naming the field that cannot be obeyed."""
    # Without a word about it this API does not think, and neither do its clients expect it.
    wish = ThinkingWish(thinking=body.thinking)
    thinking = wish.is_on is True
    tools = parse_tools(_tools(body.tools or []))
    sampling = build_sampling(
        rules,
        thinking=thinking,
        max_tokens=body.max_tokens,
        stop=body.stop_sequences,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
    )
    if rules.param_policy == "vendor":
        check_vendor_policy(sampling, tools, thinking=thinking)
    choice, parallel = _tool_choice(body.tool_choice)
    turn = Turn(
        messages=_conversation(body),
        sampling=sampling,
        tools=tools,
        thinking=thinking,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        json_output=_output_format(body.output_config),
        thinking_budget=_budget(body.thinking, body.max_tokens),
        continues_last=_role(body.messages[-1]) == "assistant",
        preserve_thinking=rules.preserve_thinking and wish.preserves,
    )
    return Job(turn, bool(body.stream))


def _conversation(body: MessagesBody) -> tuple[Message, ...]:
    messages: list[dict[str, Any]] = []
    system = _system_text(body.system, "system")
    if system:
        messages.append({"role": "system", "content": system})
    for index, message in enumerate(body.messages):
        messages.extend(_turn(message, f"messages[{index}]"))
    if not messages:
        raise PromptError("messages: hold nothing that could be answered")
    return parse_history(messages)


def _turn(data: Any, path: str) -> list[dict[str, Any]]:
    """One turn as chat messages: results of tools first, each by itself, then the rest."""
    role = _role(data)
    if role not in ("user", "assistant", "system"):
        raise PromptError(f"{path}.role: expected user, assistant or system")
    content = data.get("content")
    if isinstance(content, str):
        return [{"role": role, "content": _without_billing(content) if role == "system" else content}]
    if not isinstance(content, list):
        raise PromptError(f"{path}.content: expected text or a list of blocks")
    if role == "system":
        return [{"role": role, "content": _system_text(content, f"{path}.content")}]
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    reasoning = ""
    for index, block in enumerate(content):
        at = f"{path}.content[{index}]"
        match block:
            case {"type": "tool_result"} if role == "user":
                results.append(_result(block, at))
            case {"type": "tool_use"} if role == "assistant":
                calls.append(_call(block, at))
            case {"type": "thinking"} if role == "assistant":
                reasoning += _text(block.get("thinking"), f"{at}.thinking")
            case {"type": "redacted_thinking"} if role == "assistant":
                pass
            case _:
                parts.append(_part(block, at))
    if role == "user":
        return [*results, {"role": role, "content": parts}] if parts or not results else results
    return [{"role": role, "content": parts, "reasoning_content": reasoning, "tool_calls": calls}]


def _part(block: Any, path: str) -> dict[str, Any]:
    match block:
        case {"type": "text"}:
            return {"type": "text", "text": _text(block.get("text"), f"{path}.text")}
        case {"type": "image"}:
            return {"type": "image_url", "image_url": source_url(block.get("source"), f"{path}.source")}
        case {"type": str() as kind}:
            raise PromptError(f"{path}.type: {kind[:40]!r} blocks are not supported here, only text and images")
    raise PromptError(f"{path}: expected a block with a type")


def _result(block: Mapping[str, Any], path: str) -> dict[str, Any]:
    content = block.get("content")
    if isinstance(content, list):
        content = [_part(item, f"{path}.content[{index}]") for index, item in enumerate(content)]
    elif content is not None and not isinstance(content, str):
        raise PromptError(f"{path}.content: expected text or a list of blocks")
    tool_call_id = _text(block.get("tool_use_id"), f"{path}.tool_use_id")
    return {"role": "tool", "tool_call_id": tool_call_id, "content": content}


def _call(block: Mapping[str, Any], path: str) -> dict[str, Any]:
    arguments = block.get("input", {})
    if not isinstance(arguments, Mapping):
        raise PromptError(f"{path}.input: expected an object")
    function = {
        "name": _text(block.get("name"), f"{path}.name"),
        "arguments": json.dumps(arguments, ensure_ascii=False),
    }
    return {"id": _text(block.get("id"), f"{path}.id"), "type": "function", "function": function}


def _system_text(system: Any, path: str) -> str:
    """The blocks of a system prompt, a line between them; a client's billing line is none of the model's business."""
    if system is None or isinstance(system, str):
        return _without_billing(system or "")
    texts: list[str] = []
    for index, block in enumerate(system):
        match block:
            case {"type": "text", "text": str() as text}:
                if not text.startswith(_BILLING_LINE):
                    texts.append(text)
            case _:
                raise PromptError(f"{path}[{index}]: expected a text block")
    return "\n".join(texts)


def _without_billing(text: str) -> str:
    """A system prompt in one piece, where the line is the first of several."""
    return text.partition("\n")[2] if text.startswith(_BILLING_LINE) else text


def _tools(data: list[Any]) -> list[dict[str, Any]]:
    """The tools in the form of chat requests. Tools that run on somebody's server are passed over."""
    tools: list[dict[str, Any]] = []
    for index, tool in enumerate(data):
        if not isinstance(tool, Mapping):
            raise PromptError(f"tools[{index}]: expected an object")
        if tool.get("type") not in (None, "custom") and "input_schema" not in tool:
            continue
        function = {"name": tool.get("name"), "parameters": tool.get("input_schema")}
        function.update((key, tool[key]) for key in ("description", "strict") if key in tool)
        tools.append({"type": "function", "function": function})
    return tools


def _tool_choice(choice: Mapping[str, Any] | None) -> tuple[ToolChoice, bool]:
    """Which tools, and whether several at once."""
    if choice is None:
        return ToolChoice(), True
    single = choice.get("disable_parallel_tool_use")
    if single is not None and not isinstance(single, bool):
        raise PromptError("tool_choice.disable_parallel_tool_use: expected true or false")
    match choice:
        case {"type": "auto"}:
            return ToolChoice(), not single
        case {"type": "none"}:
            return ToolChoice("none"), not single
        case {"type": "any"}:
            return ToolChoice("required"), not single
        case {"type": "tool", "name": str() as name}:
            return ToolChoice("required", frozenset({name})), not single
    raise PromptError("tool_choice.type: expected auto, any, none, or tool with a name")


def _output_format(config: OutputConfig | None) -> JsonOutput | None:
    if config is None or config.format is None:
        return None
    if config.format.get("type") != "json_schema":
        raise PromptError("output_config.format.type: expected json_schema")
    return parse_json_schema(config.format, "output_config.format", needs_name=False)


def _budget(thinking: ThinkingField | None, max_tokens: int | None) -> int | None:
    if thinking is None or thinking.budget_tokens is None or thinking.type == "disabled":
        return None
    budget = thinking.budget_tokens
    if budget < MIN_THINKING_BUDGET or (max_tokens is not None and budget >= max_tokens):
        raise PromptError(
            f"thinking.budget_tokens: found {budget}, expected at least {MIN_THINKING_BUDGET} and less than max_tokens"
        )
    return budget


def _role(data: Any) -> Any:
    return data.get("role") if isinstance(data, Mapping) else None


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise PromptError(f"{path}: expected text")
    return value
