from __future__ import annotations

from typing import Any

import pytest

from moonlet.chat.messages import ImagePart, Message, TextPart, ToolCall, VideoPart, parse_messages
from moonlet.chat.tools import parse_tools
from moonlet.errors import PromptError


def test_every_accepted_spelling_becomes_one_form() -> None:
    messages = parse_messages(
        [
            {"role": "system", "content": "s", "cache_control": {"ignored": True}},
            {
                "role": "user",
                "name": "alice",
                "content": [
                    {"type": "input_text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "data:x", "detail": "high"}},
                    {"type": "input_image", "image_url": "data:y"},
                    {"type": "video_url", "video_url": {"url": "v"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning": "r",
                "tool_calls": [
                    {
                        "id": "functions.f:0",
                        "type": "function",
                        "function": {"name": "f", "arguments": {"é": [1, None]}},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "functions.f:0", "content": "ok"},
        ]
    )
    assert messages == (
        Message("system", "s"),
        Message("user", (TextPart("a"), ImagePart("data:x"), ImagePart("data:y"), VideoPart("v")), name="alice"),
        Message("assistant", reasoning_content="r", tool_calls=(ToolCall("functions.f:0", "f", '{"é": [1, null]}'),)),
        Message("tool", "ok", tool_call_id="functions.f:0"),
    )
    assert messages[1].media == (ImagePart("data:x"), ImagePart("data:y"), VideoPart("v"))


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def call(**fields: Any) -> list[dict[str, Any]]:
    return [{"role": "assistant", "tool_calls": [fields]}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("hi", "messages: found 'hi', expected a list"),
        ([], "messages: the list is empty"),
        (["hi"], r"messages\[0\]: found 'hi', expected an object"),
        ([{"content": "x"}], r"messages\[0\].role: found nothing, expected one of system, developer, user"),
        ([{"role": "function", "content": "x"}], r"messages\[0\].role: found 'function'"),
        ([{"role": ["user"]}], r"messages\[0\].role: found a list"),
        (user(3), r"messages\[0\].content: found 3, expected text or a list of parts"),
        (user({"type": "text"}), r"messages\[0\].content: found a dict"),
        (user(["x"]), r"messages\[0\].content\[0\]: found 'x', expected an object"),
        (user([{"type": "input_audio"}]), r"messages\[0\].content\[0\].type: found 'input_audio', expected text"),
        (user([{"text": "x"}]), r"messages\[0\].content\[0\].type: found nothing"),
        (user([{"type": "text"}]), r"messages\[0\].content\[0\].text: found nothing, expected text"),
        (user([{"type": "text", "text": 1}]), r"content\[0\].text: found 1, expected text"),
        (user([{"type": "image_url"}]), r"content\[0\].image_url: found nothing, expected a URL"),
        (user([{"type": "image_url", "image_url": {"url": ""}}]), r"content\[0\].image_url: found a dict"),
        ([{"role": "user", "content": "x", "name": 5}], r"messages\[0\].name: found 5, expected text"),
        ([{"role": "tool", "content": "x"}], r"messages\[0\].tool_call_id: missing"),
        ([{"role": "user", "tool_calls": [{}]}], r"messages\[0\].tool_calls: only an assistant message"),
        (call(), r"messages\[0\].tool_calls\[0\].function: found nothing, expected an object"),
        (call(id="a", function={}), r"tool_calls\[0\].function.name: found nothing, expected text"),
        (call(function={"name": "f"}), r"tool_calls\[0\].id: found nothing, expected text"),
        (call(id="a", function={"name": "f", "arguments": 3}), r"function.arguments: found 3, expected JSON text"),
        (call(id="a", function={"name": "f", "arguments": {"a": {1}}}), r"function.arguments: the object is not JSON"),
        ([{"role": "user", "content": "x" * 900, "reasoning_content": ["y"]}], r"reasoning_content: found a list"),
    ],
)
def test_a_bad_message_is_refused_by_its_path(data: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message) as caught:
        parse_messages(data)
    assert len(str(caught.value)) < 200


def test_a_wrong_value_is_quoted_in_short() -> None:
    with pytest.raises(PromptError) as caught:
        parse_messages("x" * 10_000)
    assert len(str(caught.value)) < 100


def function(**fields: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": fields}]


def test_tools_keep_what_was_declared() -> None:
    declared = function(name="get-weather.v2", description="d", parameters={"type": "object"}, strict=True)
    (tool,) = parse_tools(declared)
    assert (tool.name, tool.description, tool.parameters) == ("get-weather.v2", "d", {"type": "object"})
    assert tool.declared is declared[0]
    assert parse_tools(None) == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "tools: found a dict, expected a list"),
        (["f"], r"tools\[0\]: found a str, expected an object"),
        ([{"type": "web_search"}], r"tools\[0\].type: found 'web_search', expected 'function'"),
        ([{"type": "function"}], r"tools\[0\].function: missing"),
        (function(), r"tools\[0\].function.name: found None"),
        (function(name="a b"), r"tools\[0\].function.name: found 'a b'"),
        (function(name="a\n"), r"tools\[0\].function.name"),
        (function(name="x" * 257), r"tools\[0\].function.name"),
        (function(name="f", description=1), r"tools\[0\].function.description: found a int"),
        (function(name="f", parameters=[]), r"tools\[0\].function.parameters: found a list"),
        (function(name="f") * 2, r"tools\[1\].function.name: function name f is duplicated"),
    ],
)
def test_a_bad_tool_is_refused_by_its_path(data: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        parse_tools(data)
