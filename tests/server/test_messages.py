"""POST /v1/messages over real HTTP, with a model that recites."""

from __future__ import annotations

import json

import pytest

from tests.server.conftest import events
from tests.server.replies import CALL, FIND, TWO_CALLS

PATH = "/v1/messages"
USER = [{"role": "user", "content": "hi"}]
TOOL = {"name": "find", "input_schema": FIND["function"]["parameters"]}
THINK_1024 = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
THINK = {"thinking": {"type": "adaptive"}}


def test_without_a_word_about_thinking_the_reply_is_instant(serve):
    response = serve("Hello.").post(PATH, json={"messages": USER, "max_tokens": 100})
    body = response.json()
    assert body["content"] == [{"type": "text", "text": "Hello."}]
    assert (body["type"], body["role"], body["stop_reason"], body["stop_sequence"]) == (
        "message",
        "assistant",
        "end_turn",
        None,
    )
    assert body["id"].startswith("msg_")
    assert response.headers["request-id"] == response.headers["x-request-id"]


def test_thinking_and_calls_are_blocks(serve):
    body = serve(TWO_CALLS.replace("Hm.", "Look.")).post(PATH, json={"messages": USER, "tools": [TOOL], **THINK})
    thinking, *uses = body.json()["content"]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "Look.")
    assert thinking["signature"]
    assert [(use["type"], use["name"], use["input"]) for use in uses] == [("tool_use", "find", {"q": "x"})] * 2
    assert len({use["id"] for use in uses}) == 2
    assert all(use["id"].startswith("toolu_") and use["id"][6:].isalnum() for use in uses)
    assert body.json()["stop_reason"] == "tool_use"


def test_the_stream_has_blocks_one_after_another(serve):
    response = serve("Look.</think>Well.").post(PATH, json={"messages": USER, "stream": True, **THINK})
    found = events(response)
    assert all(name == data["type"] for name, data in found)
    names = [name for name, _ in found]
    assert names[:2] == ["message_start", "ping"]
    assert names[-2:] == ["message_delta", "message_stop"]
    open_block = None
    texts = {0: "", 1: ""}
    for name, data in found:
        if name == "content_block_start":
            assert open_block is None
            open_block = data["index"]
        elif name == "content_block_delta":
            assert data["index"] == open_block
            texts[open_block] += data["delta"].get("thinking", "") + data["delta"].get("text", "")
        elif name == "content_block_stop":
            assert data["index"] == open_block
            open_block = None
    assert texts == {0: "Look.", 1: "Well."}
    deltas = [data["delta"]["type"] for name, data in found if name == "content_block_delta"]
    assert deltas.count("signature_delta") == 1
    usage = found[-2][1]["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == found[0][1]["message"]["usage"]["input_tokens"]


def test_a_streamed_call_carries_its_arguments_as_json_text(serve):
    found = events(serve(CALL).post(PATH, json={"messages": USER, "tools": [TOOL], "stream": True, **THINK}))
    start = next(
        data["content_block"] for name, data in found if data.get("content_block", {}).get("type") == "tool_use"
    )
    assert start["input"] == {}
    text = "".join(data["delta"].get("partial_json", "") for name, data in found if name == "content_block_delta")
    assert json.loads(text) == {"q": "x"}


def test_a_stop_sequence_is_named(serve):
    body = serve("one STOP two").post(PATH, json={"messages": USER, "stop_sequences": ["STOP"]}).json()
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "STOP")
    assert body["content"] == [{"type": "text", "text": "one "}]


def test_a_tool_loop_reads_only_what_is_new(serve):
    client = serve(CALL, "Found.</think>It is there.")
    ask = {"tools": [TOOL], **THINK}
    first = client.post(PATH, json={"messages": USER, **ask}).json()
    result = {"type": "tool_result", "tool_use_id": first["content"][1]["id"], "content": "here"}
    history = [*USER, {"role": "assistant", "content": first["content"]}, {"role": "user", "content": [result]}]
    second = client.post(PATH, json={"messages": history, **ask}).json()
    assert second["content"][-1]["text"] == "It is there."
    assert second["usage"]["cache_read_input_tokens"] > first["usage"]["input_tokens"]


def test_the_prompt_is_what_the_blocks_mean(serve):
    client = serve("Hello.")
    history = [
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "b"},
                {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"q": "x"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "then"},
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "r"}]},
            ],
        },
        {"role": "system", "content": "mid"},
    ]
    system = [{"type": "text", "text": "x-anthropic-billing-header: cch=1"}, {"type": "text", "text": "S"}]
    counted = client.post(PATH + "/count_tokens", json={"messages": history, "system": system})
    chat = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "b"}],
            "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "r"},
        {"role": "user", "content": "then"},
        {"role": "system", "content": "mid"},
    ]
    rendered = client.post("/apply-template", json={"messages": chat, "think": False}).json()
    assert counted.json() == {"input_tokens": len(rendered["tokens"])}
    assert "functions.find:0" in rendered["prompt"]


def test_an_assistant_turn_at_the_end_is_continued(serve):
    history = [*USER, {"role": "assistant", "content": "He"}]
    client = serve("Hello.")
    (block,) = client.post(PATH, json={"messages": history}).json()["content"]
    assert block["text"] in ("ello.", "llo.", "lo."), "the script does not know where words were cut before"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "document"),
        ({"messages": USER, "tool_choice": {"type": "any"}}, "tool_choice"),
        ({"messages": USER, "thinking": {"type": "enabled", "budget_tokens": 10}}, "budget_tokens"),
        (
            {"messages": USER, "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 2000}},
            "budget_tokens",
        ),
        ({"messages": USER, "tools": [{"name": "a b", "input_schema": {}}]}, "tools[0]"),
    ],
)
def test_errors_have_this_apis_shape(serve, fields, said):
    response = serve().post(PATH, json=fields)
    assert response.status_code == 400
    body = response.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert said in body["error"]["message"]
    assert body["request_id"] == response.headers["request-id"]


def test_an_overlong_prompt_gets_the_words_clients_look_for(serve):
    client = serve(context_length=64)
    message = client.post(PATH, json={"messages": [{"role": "user", "content": "a b c " * 100}]}).json()["error"]
    assert message["message"].startswith("prompt is too long: ")
    assert message["message"].endswith(" tokens > 64 maximum")


def test_a_prompt_of_any_length_is_counted(serve):
    client = serve(context_length=64)
    counted = client.post(PATH + "/count_tokens", json={"messages": [{"role": "user", "content": "a b c " * 100}]})
    assert counted.json()["input_tokens"] > 64


def test_server_tools_are_passed_over_and_the_other_prefix_works(serve):
    tools = [{"type": "web_search_20250305", "name": "web_search"}, TOOL]
    assert serve("Hello.").post("/anthropic" + PATH + "?beta=true", json={"messages": USER, "tools": tools}).is_success


def test_a_reply_bears_the_model_name_that_was_asked_for(serve):
    """Claude Code drops the thinking of a reply that seems to come from another model."""
    client = serve()
    ask = {"messages": USER, "max_tokens": 100}
    assert client.post(PATH, json={**ask, "model": "kimi-k2.5"}).json()["model"] == "kimi-k2.5"
    streamed = events(client.post(PATH, json={**ask, "model": "kimi-k2.5", "stream": True}))
    assert streamed[0][1]["message"]["model"] == "kimi-k2.5"
    for without in ({}, {"model": "x" * 10_000}):
        assert client.post(PATH, json={**ask, **without}).json()["model"] == "K25-nano"
