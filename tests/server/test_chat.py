"""POST /v1/chat/completions over real HTTP, with a model that recites."""

from __future__ import annotations

import pytest

from tests.fakes.engines import tiny_tokenizer
from tests.server.conftest import chunks
from tests.server.replies import CALL, FIND, TWO_CALLS, USER, Q

PATH = "/v1/chat/completions"


def test_a_whole_reply_has_reasoning_content_and_usage_under_all_names(serve):
    body = serve("Hm.</think>Hello.").post(PATH, json={"messages": USER}).json()
    choice = body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Hello.", "reasoning_content": "Hm."}
    assert choice["finish_reason"] == "stop"
    assert (body["object"], body["model"]) == ("chat.completion", "K25-nano")
    assert body["id"].startswith("chatcmpl-")
    usage = body["usage"]
    tokenizer = tiny_tokenizer()
    assert usage["completion_tokens"] == len(tokenizer.encode_with_specials("Hm.</think>Hello.<|im_end|>"))
    assert usage["completion_tokens_details"]["reasoning_tokens"] == len(tokenizer.encode("Hm."))
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["cached_tokens"] == usage["prompt_tokens_details"]["cached_tokens"] == 0


def test_the_stream_says_the_same_in_the_promised_order(serve):
    client = serve("Hm.</think>Hello.")
    response = client.post(PATH, json={"messages": USER, "stream": True, "stream_options": {"include_usage": True}})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")
    parts = chunks(response)
    assert len({(part["id"], part["created"], part["model"], part["object"]) for part in parts}) == 1
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    deltas = [part["choices"][0]["delta"] for part in parts[1:-2]]
    assert all(len(delta) == 1 for delta in deltas), "one kind of key a chunk"
    kinds = [next(iter(delta)) for delta in deltas]
    assert kinds == sorted(kinds, reverse=True), "reasoning_content before content"
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hm."
    assert "".join(delta.get("content", "") for delta in deltas) == "Hello."
    last = parts[-2]["choices"][0]
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")
    assert parts[-1]["choices"] == []
    whole = client.post(PATH, json={"messages": USER}).json()
    for part in (last["usage"], parts[-1]["usage"]):
        assert part["completion_tokens"] == whole["usage"]["completion_tokens"]
        assert part["prompt_tokens"] == whole["usage"]["prompt_tokens"]


def test_a_stream_without_include_usage_ends_with_the_reason(serve):
    parts = chunks(serve().post(PATH, json={"messages": USER, "stream": True}))
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_tool_call_has_its_name_once_and_arguments_as_sampled(serve):
    client = serve(CALL)
    message = client.post(PATH, json={"messages": USER, "tools": [FIND]}).json()["choices"][0]
    assert message["finish_reason"] == "tool_calls"
    assert message["message"]["content"] == ""
    wanted = {"id": "functions.find:0", "type": "function", "function": {"name": "find", "arguments": Q}}
    assert message["message"]["tool_calls"] == [wanted]
    parts = chunks(client.post(PATH, json={"messages": USER, "tools": [FIND], "stream": True}))
    deltas = [
        part["choices"][0]["delta"]["tool_calls"] for part in parts if "tool_calls" in part["choices"][0]["delta"]
    ]
    assert all(len(calls) == 1 and calls[0]["index"] == 0 for calls in deltas)
    first, *rest = [calls[0] for calls in deltas]
    assert first == {**wanted, "index": 0, "function": {"name": "find", "arguments": ""}}
    assert all(set(item) == {"index", "function"} and set(item["function"]) == {"arguments"} for item in rest)
    assert "".join(item["function"]["arguments"] for item in rest) == Q
    assert parts[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "switch",
    [
        {"thinking": {"type": "disabled"}},
        {"chat_template_kwargs": {"thinking": False}},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"enable_thinking": False},
        {"reasoning_effort": "none"},
        {"reasoning": {"effort": "none"}},
        {"reasoning": {"enabled": False}},
        {"think": False},
        {"thinking": {"type": "disabled"}, "chat_template_kwargs": {"thinking": True}},
    ],
)
def test_instant_mode_by_every_way_of_asking_has_no_reasoning_field(serve, switch):
    client = serve("Hello.")
    message = client.post(PATH, json={"messages": USER, **switch}).json()["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "Hello."}
    prompt = client.post("/apply-template", json={"messages": USER, **switch}).json()["prompt"]
    assert prompt.endswith("<think></think>")


@pytest.mark.parametrize(
    "switch", [{}, {"thinking": {}}, {"thinking": {"type": "adaptive"}}, {"reasoning_effort": "low"}, {"think": True}]
)
def test_thinking_is_the_default_and_levels_only_switch_it_on(serve, switch):
    prompt = serve().post("/apply-template", json={"messages": USER, **switch}).json()["prompt"]
    assert prompt.endswith("<think>")


def test_a_reply_that_thought_nothing_says_so(serve):
    client = serve("</think>Hello.")
    assert client.post(PATH, json={"messages": USER}).json()["choices"][0]["message"]["reasoning_content"] == ""
    deltas = [
        part["choices"][0]["delta"] for part in chunks(client.post(PATH, json={"messages": USER, "stream": True}))
    ]
    assert deltas[1] == {"reasoning_content": ""}
    assert "content" in deltas[2]


def test_a_stop_string_is_matched_in_the_answer_and_not_in_the_thinking(serve):
    body = serve("a\nb</think>c\nd").post(PATH, json={"messages": USER, "stop": "\n"}).json()
    message = body["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("a\nb", "c")


def test_max_tokens_cuts_and_more_than_is_left_is_no_error(serve):
    client = serve("Hm.</think>Hello.")
    cut = client.post(PATH, json={"messages": USER, "max_tokens": 2, "max_completion_tokens": 3}).json()
    assert cut["usage"]["completion_tokens"] == 3
    assert cut["choices"][0]["finish_reason"] == "length"
    for wish in (262144, -1):
        assert (
            client.post(PATH, json={"messages": USER, "max_tokens": wish}).json()["choices"][0]["finish_reason"]
            == "stop"
        )


def test_a_call_cut_off_by_the_limit_is_left_out(serve):
    body = serve(CALL).post(PATH, json={"messages": USER, "tools": [FIND], "max_tokens": 25}).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert "tool_calls" not in body["choices"][0]["message"]


def test_logprobs_are_given_for_every_token_whole_and_streamed(serve):
    client = serve("Hm.</think>Hello.")
    ask = {"messages": USER, "logprobs": True, "top_logprobs": 2, "temperature": 0}
    body = client.post(PATH, json=ask).json()
    items = body["choices"][0]["logprobs"]["content"]
    assert len(items) == body["usage"]["completion_tokens"]
    assert all(len(item["top_logprobs"]) == 2 for item in items)
    streamed = [
        item
        for part in chunks(client.post(PATH, json={**ask, "stream": True}))
        for item in (part["choices"][0].get("logprobs") or {}).get("content", [])
    ]
    assert streamed == items


def test_the_last_message_can_be_continued_under_its_own_name(serve):
    history = [*USER, {"role": "assistant", "name": "Bob", "content": "He", "reasoning_content": "R", "partial": True}]
    client = serve("R</think>Hello.")  # the script does not know where words were cut before it took over
    prompt = client.post("/apply-template", json={"messages": history}).json()["prompt"]
    assert prompt.endswith("<|im_assistant|>Bob<|im_middle|><think>R</think>He")
    message = client.post(PATH, json={"messages": history}).json()["choices"][0]["message"]
    assert set(message) == {"role", "content"}
    assert message["content"] in ("ello.", "llo.", "lo.")


def test_the_second_request_of_a_tool_loop_reads_only_what_is_new(serve):
    client = serve(CALL, "Found.</think>It is there.")
    first = client.post(PATH, json={"messages": USER, "tools": [FIND]}).json()
    assistant = first["choices"][0]["message"]
    # A client that rewrites ids and JSON, as several do.
    assistant["tool_calls"][0]["id"] = "call_1"
    assistant["tool_calls"][0]["function"]["arguments"] = '{"q":"x"}'
    history = [*USER, assistant, {"role": "tool", "tool_call_id": "call_1", "content": "here"}]
    second = client.post(PATH, json={"messages": history, "tools": [FIND]}).json()
    assert second["choices"][0]["message"]["content"] == "It is there."
    usage = first["usage"]
    assert second["usage"]["cached_tokens"] >= usage["prompt_tokens"] + usage["completion_tokens"] - 1


def test_parallel_calls_can_be_forbidden(serve):
    client = serve(TWO_CALLS)
    for parallel, count in ((True, 2), (False, 1)):
        body = client.post(PATH, json={"messages": USER, "tools": [FIND], "parallel_tool_calls": parallel}).json()
        assert len(body["choices"][0]["message"]["tool_calls"]) == count


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "find"}}])
def test_a_required_call_comes_though_the_model_would_rather_talk(serve, choice):
    client = serve("Hm.</think>I would rather talk.")
    body = client.post(PATH, json={"messages": USER, "tools": [FIND], "tool_choice": choice, "max_tokens": 200}).json()
    choice = body["choices"][0]
    assert choice["message"]["reasoning_content"] == "Hm."
    assert choice["message"]["content"] == ""
    assert choice["finish_reason"] in ("tool_calls", "length")


def test_tool_choice_none_keeps_the_tools_in_the_prompt_and_calls_none(serve):
    client = serve(CALL)
    ask = {"messages": USER, "tools": [FIND]}
    prompts = [
        client.post("/apply-template", json={**ask, "tool_choice": choice}).json()["prompt"]
        for choice in ("auto", "none")
    ]
    assert prompts[0] == prompts[1]
    body = client.post(PATH, json={**ask, "tool_choice": "none"}).json()
    assert "tool_calls" not in body["choices"][0]["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": USER, "temperature": 2.5}, "temperature"),
        ({"messages": USER, "temperature": "1"}, "temperature"),
        ({"messages": USER, "top_p": 0}, "top_p"),
        ({"messages": USER, "presence_penalty": 3}, "presence_penalty"),
        ({"messages": USER, "n": 2}, "n"),
        ({"messages": USER, "n": 0}, "n"),
        ({"messages": USER, "max_tokens": 0}, "max_tokens"),
        ({"messages": USER, "stop": ["a"] * 17}, "stop"),
        ({"messages": USER, "stream": "yes"}, "stream"),
        ({"messages": USER, "top_logprobs": 2}, "top_logprobs"),
        ({"messages": USER, "logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"messages": USER, "logit_bias": {"9999999": 1}}, "logit_bias"),
        ({"messages": USER, "functions": []}, "functions"),
        ({"messages": USER, "thinking": {"type": "often"}}, "thinking.type"),
        ({"messages": USER, "thinking": "enabled"}, "thinking"),
        ({"messages": USER, "reasoning_effort": "huge"}, "reasoning_effort"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": "x", "partial": True}]}, "messages[0].partial"),
        ({"messages": USER, "tools": {}}, "tools"),
        ({"messages": USER, "tools": [1]}, "tools[0]"),
        ({"messages": USER, "tools": [{"type": "function"}]}, "tools[0].function"),
        ({"messages": USER, "tools": [{"type": "builtin_function"}]}, "tools[0].type"),
        ({"messages": USER, "tools": [FIND, FIND]}, "tools[1].function.name"),
        ({"messages": USER, "tool_choice": "maybe"}, "tool_choice"),
        ({"messages": USER, "tool_choice": "required"}, "tool_choice"),
        (
            {"messages": USER, "tools": [FIND], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
        ),
        ({"messages": USER, "response_format": {"type": "xml"}}, "response_format.type"),
        ({"messages": USER, "response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"messages": USER, "response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
            "response_format.json_schema.schema",
        ),
        ({"messages": USER, "continue_final_message": True, "add_generation_prompt": True}, "continue_final_message"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_by_name(serve, fields, param):
    response = serve().post(PATH, json=fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert param in error["message"]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "reasoning_details"])
def test_thinking_that_comes_back_is_read_under_every_name(serve, name):
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": Q}}
    thought = {"role": "assistant", name: "Because.", "tool_calls": [call]}
    history = [*USER, thought, {"role": "tool", "tool_call_id": "c", "content": "r"}]
    prompt = serve().post("/apply-template", json={"messages": history}).json()["prompt"]
    assert "<think>Because.</think>" in prompt
    listed = [{**thought, name: None, "reasoning_details": [{"text": "x"}]}]
    assert serve().post("/apply-template", json={"messages": [*USER, *listed]}).is_success


def test_a_method_that_nobody_knows_is_refused_with_those_that_are(serve):
    refused = serve().request("QUERY", PATH)
    assert (refused.status_code, "POST" in refused.headers["allow"]) == (405, True)


def test_unknown_fields_are_ignored(serve):
    body = {"messages": USER, "store": True, "metadata": {"a": 1}, "user": "x", "service_tier": "auto"}
    assert serve().post(PATH, json=body).status_code == 200


def test_a_prompt_that_fills_the_context_gets_the_words_that_make_clients_compact(serve):
    response = serve(context_length=64).post(PATH, json={"messages": [{"role": "user", "content": "a b c " * 100}]})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert error["message"].startswith("Invalid request: Your request exceeded model token limit: 64 (requested: ")
    assert "This model's maximum context length is 64 tokens." in error["message"]


@pytest.mark.parametrize(
    ("path", "field", "prompt"),
    [
        ("/v1/chat/completions", "messages", [{"role": "user", "content": "a b c " * 100}]),
        ("/v1/completions", "prompt", "a b c " * 100),
        ("/v1/responses", "input", "a b c " * 100),
    ],
)
def test_a_prompt_that_fills_the_context_is_named_as_its_api_calls_it(serve, path, field, prompt):
    response = serve(context_length=64).post(path, json={field: prompt})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", field)


def test_a_bias_of_minus_100_keeps_a_token_away(serve):
    tokenizer = tiny_tokenizer()
    first = tokenizer.encode("Hello.")[0]
    client = serve("</think>Hello.")
    body = client.post(
        PATH, json={"messages": USER, "temperature": 0, "logit_bias": {str(first): -100}, "max_tokens": 3}
    )
    assert not body.json()["choices"][0]["message"]["content"].startswith(tokenizer.decode([first]))


def test_timings_come_only_when_asked_for(serve):
    client = serve()
    assert "timings" not in client.post(PATH, json={"messages": USER}).json()
    assert client.post(PATH, json={"messages": USER, "timings": True}).json()["timings"]["prompt_ms"] > 0
