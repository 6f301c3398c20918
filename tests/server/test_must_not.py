"""What users of K2.5 met elsewhere, each by the name of its symptom, numbered as in the contract of the API."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from tests.fakes.engines import seeing_engine, tiny_tokenizer
from tests.fakes.http_server import context_of, running
from tests.media.files import encoded, noise
from tests.server.conftest import chunks, events
from tests.server.replies import CALL, END_SECTION, FIND, SECTION, TWO_CALLS, USER, Q, one_call

PATH = "/v1/chat/completions"
CALLED = {"name": "find", "arguments": Q}
PNG = encoded(noise(60, 40))
MARKERS = ("<|", "functions.", "</think>", "<think>")


@pytest.fixture(scope="module")
def seeing():
    with running(context_of(seeing_engine(2048))) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def image(content):
    url = "data:image/png;base64," + base64.b64encode(content).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def both(client, ask):
    """The message of a whole reply and of the same reply streamed, in one form, with their reasons."""
    whole = client.post(PATH, json=ask).json()["choices"][0]
    parts = [part["choices"][0] for part in chunks(client.post(PATH, json={**ask, "stream": True}))]
    streamed = {"content": "", "reasoning_content": "", "tool_calls": []}
    for part in parts:
        delta = part["delta"]
        streamed["content"] += delta.get("content", "")
        streamed["reasoning_content"] += delta.get("reasoning_content", "")
        for call in delta.get("tool_calls", []):
            if "id" in call:
                streamed["tool_calls"].append([call["id"], call["function"]["name"], ""])
            streamed["tool_calls"][call["index"]][2] += call["function"]["arguments"]
    message = whole["message"]
    calls = [[c["id"], c["function"]["name"], c["function"]["arguments"]] for c in message.get("tool_calls", [])]
    one = {**message, "reasoning_content": message.get("reasoning_content", ""), "tool_calls": calls}
    return (one, whole["finish_reason"]), (streamed, parts[-1]["finish_reason"])


def same(client, ask):
    whole, streamed = both(client, ask)
    assert {key: whole[0][key] for key in streamed[0]} == streamed[0]
    assert whole[1] == streamed[1]
    return whole


@pytest.mark.parametrize("reply", [CALL, TWO_CALLS, "Hm.</think>Words." + CALL.partition("</think>")[2]])
def test_01_no_marker_or_call_text_in_content_or_reasoning(serve, reply):
    message, reason = same(serve(reply), {"messages": USER, "tools": [FIND]})
    assert reason == "tool_calls"
    for text in (message["content"], message["reasoning_content"]):
        assert not any(marker in text for marker in MARKERS)


def test_02_a_call_inside_the_thinking_closes_it(serve):
    message, reason = same(serve(CALL.replace("</think>", "")), {"messages": USER, "tools": [FIND]})
    assert (message["reasoning_content"], reason) == ("Look.", "tool_calls")
    assert message["tool_calls"] == [["functions.find:0", "find", Q]]


def test_03_an_instant_reply_is_content(serve):
    message, _ = same(serve("Hello."), {"messages": USER, "thinking": {"type": "disabled"}})
    assert (message["content"], message["reasoning_content"]) == ("Hello.", "")


def test_04_the_end_of_thinking_never_shows_in_content(serve):
    message, _ = same(serve("Hm.</think>Hello."), {"messages": USER})
    assert (message["content"], message["reasoning_content"]) == ("Hello.", "Hm.")


def test_05_the_switch_decides_for_each_request(serve):
    client = serve("Hm.</think>Hello.")
    on = client.post(PATH, json={"messages": USER}).json()["choices"][0]["message"]
    assert "reasoning_content" in on
    off = client.post(PATH, json={"messages": USER, "think": False}).json()["choices"][0]["message"]
    assert "reasoning_content" not in off


def test_06_and_07_ids_are_the_models_own_and_foreign_ones_are_rewritten(serve):
    client = serve(CALL)
    assert (
        client.post(PATH, json={"messages": USER, "tools": [FIND]}).json()["choices"][0]["message"]["tool_calls"][0][
            "id"
        ]
        == "functions.find:0"
    )
    for foreign in ("call_abc", "toolu_01", "functions_find_0", "chatcmpl-tool-1"):
        history = [
            *USER,
            {
                "role": "assistant",
                "tool_calls": [{"id": foreign, "type": "function", "function": {"name": "find", "arguments": Q}}],
            },
            {"role": "tool", "tool_call_id": foreign, "content": "r"},
        ]
        prompt = client.post("/apply-template", json={"messages": history, "tools": [FIND]}).json()["prompt"]
        assert foreign not in prompt
        assert prompt.count("functions.find:0") == 2


def test_08_a_new_id_is_none_that_the_history_holds(serve):
    cut = [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "functions.find:1", "type": "function", "function": {"name": "find", "arguments": Q}}
            ],
        },
        {"role": "tool", "tool_call_id": "functions.find:1", "content": "r"},
    ]
    client = serve(f"</think>{SECTION}{one_call('find', 1, Q)}{END_SECTION}")
    body = client.post(PATH, json={"messages": [*USER, *cut], "tools": [FIND]}).json()
    assert body["choices"][0]["message"]["tool_calls"][0]["id"] not in ("functions.find:0", "functions.find:1")


def test_09_text_before_a_call_does_not_stop_the_stream(serve):
    words = "Words. " * 60
    reply = f"</think>{words}{SECTION}{one_call('find', 0, Q)}{END_SECTION}"
    message, reason = same(serve(reply), {"messages": USER, "tools": [FIND]})
    assert (message["content"], reason) == (words, "tool_calls")
    assert len(message["tool_calls"]) == 1


def test_10_a_call_always_has_name_and_arguments_and_stream_equals_whole(serve):
    message, reason = same(serve(TWO_CALLS), {"messages": USER, "tools": [FIND]})
    assert reason == "tool_calls"
    assert all(name and isinstance(json.loads(arguments), dict) for _, name, arguments in message["tool_calls"])


def test_11_newlines_in_arguments_hyphens_in_names_and_several_calls(serve):
    tool = {"type": "function", "function": {"name": "read-file.v2"}}
    arguments = '{"text": "a\\nb"}'
    reply = f"</think>{SECTION}{one_call('read-file.v2', 0, arguments)}{one_call('find', 1, Q)}{END_SECTION}"
    message, _ = same(serve(reply), {"messages": USER, "tools": [tool, FIND]})
    assert [(name, text) for _, name, text in message["tool_calls"]] == [("read-file.v2", arguments), ("find", Q)]


@pytest.mark.parametrize(
    "reply",
    [
        f"</think>{SECTION}",
        f"</think>{SECTION}<|tool_call_begin|>",
        f"</think>{SECTION}<|tool_call_begin|>nonsense<|tool_call_end|>",
        f"</think>{SECTION}{one_call('unknown', 0, '{')}",
        "</think><|tool_call_argument_begin|>{}",
    ],
)
def test_12_a_malformed_call_is_never_an_error(serve, reply):
    for tools in ([FIND], []):
        response = serve(reply).post(PATH, json={"messages": USER, "tools": tools, "max_tokens": 60})
        assert response.status_code == 200
        assert response.json()["choices"][0]["finish_reason"] in ("stop", "length", "tool_calls")


def test_13_tools_are_typescript_and_parts_are_text(serve):
    ask = {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}], "tools": [FIND]}
    prompt = serve().post("/apply-template", json=ask).json()["prompt"]
    assert "namespace functions {" in prompt
    assert "type find = (_: {" in prompt
    assert "<|im_user|>user<|im_middle|>a<|im_end|>" in prompt
    assert prompt.endswith("<|im_assistant|>assistant<|im_middle|><think>")


def test_13b_one_schema_without_a_type_does_not_turn_all_tools_into_json(serve):
    odd = {"name": "flow", "parameters": {"type": "object", "properties": {"args": {"description": "any"}}}}
    ask = {"messages": USER, "tools": [{"type": "function", "function": odd}, FIND]}
    assert "namespace functions {" in serve().post("/apply-template", json=ask).json()["prompt"]
    official = serve(tool_rendering="official").post("/apply-template", json=ask).json()["prompt"]
    assert "namespace functions {" not in official


def test_14_thinking_that_uses_up_the_limit_is_called_length_and_can_be_bounded(serve):
    client = serve("Hm " * 100 + "</think>Hello.")
    message, reason = same(client, {"messages": USER, "max_tokens": 30})
    assert (message["content"], reason) == ("", "length")
    message, _ = same(client, {"messages": USER, "max_tokens": 200, "thinking_token_budget": 5})
    assert message["content"]
    assert len(message["reasoning_content"]) < 20


def test_15_an_image_in_the_result_of_a_tool_is_seen_and_a_bad_one_poisons_nothing(seeing):
    result = {"role": "tool", "tool_call_id": "c", "content": [image(PNG)]}
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": Q}}
    history = [*USER, {"role": "assistant", "tool_calls": [call]}, result]
    ask = {"messages": history, "tools": [FIND], "max_tokens": 4, "temperature": 0}
    good = seeing.post(PATH, json=ask).json()
    bad = {**result, "content": [image(PNG), image(PNG[: len(PNG) // 2])]}
    refused = seeing.post(PATH, json={**ask, "messages": [*history[:-1], bad]})
    assert (refused.status_code, "failed to decode image" in refused.json()["error"]["message"]) == (400, True)
    again = seeing.post(PATH, json=ask).json()
    assert again["choices"] == good["choices"]
    plain = seeing.post(PATH, json={**ask, "messages": [*history[:-1], {**result, "content": "here"}]}).json()
    assert plain["usage"]["prompt_tokens"] < good["usage"]["prompt_tokens"]


@pytest.mark.parametrize("size", [(28, 28), (300, 200), (57, 1)])
def test_16_a_picture_has_as_many_places_in_the_prompt_as_it_has_tokens(seeing, size):
    ask = {"messages": [{"role": "user", "content": [image(encoded(noise(*size)))]}], "max_tokens": 1}
    rendered = seeing.post("/apply-template", json=ask).json()
    width, height = (-(-side // 28) for side in size)
    assert rendered["prompt"].count("<|media_pad|>") == 1
    assert rendered["tokens"].count(tiny_tokenizer().special_ids["<|media_pad|>"]) == width * height
    assert seeing.post(PATH, json=ask).json()["usage"]["prompt_tokens"] == len(rendered["tokens"])


@pytest.mark.parametrize("as_text", [False, True])
def test_17_a_billing_line_that_changes_does_not_spoil_the_prefix(serve, as_text):
    client = serve("Hello.")
    for number in range(2):
        lines = [f"x-anthropic-billing-header: cch={number};", "You are a helpful agent. " * 8]
        system = "\n".join(lines) if as_text else [{"type": "text", "text": line} for line in lines]
        ask = {"messages": USER, "system": system, "max_tokens": 2}
        usage = client.post("/v1/messages", json=ask).json()["usage"]
    assert usage["cache_read_input_tokens"] > 64
    assert usage["input_tokens"] <= 1, "all but the token that must be run again"


def test_17b_calls_written_anew_by_the_client_are_read_from_the_cache(serve):
    client = serve(CALL, TWO_CALLS.replace(":0", ":9"))
    first = client.post(PATH, json={"messages": USER, "tools": [FIND]}).json()
    message = first["choices"][0]["message"]
    call = {**message["tool_calls"][0], "id": "toolu_x", "function": {"name": "find", "arguments": '{"q":"x"}'}}
    history = [*USER, {**message, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "toolu_x", "content": "r"}]
    usage = client.post(PATH, json={"messages": history, "tools": [FIND], "max_tokens": 1}).json()["usage"]
    assert usage["cached_tokens"] >= first["usage"]["total_tokens"] - 1


def test_18_a_system_message_in_the_middle_is_rendered_where_it_stands(serve):
    history = [*USER, {"role": "system", "content": "mid"}, {"role": "developer", "content": "dev"}]
    prompt = serve().post("/apply-template", json={"messages": history}).json()["prompt"]
    assert prompt.index("hi") < prompt.index("<|im_system|>system<|im_middle|>mid") < prompt.index("dev")
    assert "developer" not in prompt


def test_19_tools_of_codex_are_taken_and_its_mcp_tools_find_their_way_back(serve):
    mcp = {"type": "namespace", "name": "mcp__files", "tools": [{"type": "function", "name": "read", "parameters": {}}]}
    others = [{"type": kind} for kind in ("web_search", "local_shell", "image_generation", "tool_search", "brand_new")]
    tools = [*others, mcp, {"type": "function", **FIND["function"]}]
    client = serve(f"</think>{SECTION}{one_call('mcp__files__read', 0, '{}')}{END_SECTION}", "Fine.</think>Done.")
    body = client.post("/v1/responses", json={"input": "hi", "tools": tools}).json()
    call = body["output"][-1]
    assert (call["type"], call["namespace"], call["name"]) == ("function_call", "mcp__files", "read")
    streamed = client.post("/v1/responses", json={"input": "hi", "tools": tools, "stream": True})
    done = [data["item"] for name, data in events(streamed) if name == "response.output_item.done"]
    assert (done[-1]["namespace"], done[-1]["name"]) == ("mcp__files", "read")
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "text"}
    items = [{"role": "user", "content": "hi"}, *body["output"], result]
    second = client.post("/v1/responses", json={"input": items, "tools": tools}).json()
    assert second["output"][-1]["content"][0]["text"] == "Done."
    assert second["usage"]["input_tokens_details"]["cached_tokens"] >= body["usage"]["total_tokens"] - 1


def test_20_a_grammar_that_fails_ends_one_request(serve, monkeypatch):
    from moonlet.engine import grammar
    from moonlet.errors import ConstraintError

    client = serve("Hm.</think>Hello.")

    def fail(*_):
        raise ConstraintError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(grammar.GrammarState, "fill_mask", fail)
        ask = {"messages": USER, "response_format": {"type": "json_object"}}
        assert client.post(PATH, json=ask).status_code == 500
        streamed = client.post(PATH, json={**ask, "stream": True})
        assert streamed.status_code == 200
        assert chunks(streamed)[-1]["error"]["type"] == "server_error"
        assert "[DONE]" not in streamed.text
    assert client.post(PATH, json={"messages": USER}).is_success


def test_21_calls_of_every_reply_are_numbered_from_0(serve):
    client = serve(CALL, f"</think>{SECTION}{one_call('find', 1, Q)}{END_SECTION}")
    first = client.post(PATH, json={"messages": USER, "tools": [FIND]}).json()["choices"][0]["message"]
    history = [*USER, first, {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "r"}]
    parts = chunks(client.post(PATH, json={"messages": history, "tools": [FIND], "stream": True}))
    calls = [call for part in parts for call in part["choices"][0]["delta"].get("tool_calls", [])]
    assert {call["index"] for call in calls} == {0}
    assert calls[0]["id"] == "functions.find:1"
