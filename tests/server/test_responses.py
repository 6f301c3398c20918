"""POST /v1/responses over real HTTP, with a model that recites."""

from __future__ import annotations

import pytest

from tests.server.conftest import events
from tests.server.replies import CALL, END_SECTION, FIND, SECTION, one_call

PATH = "/v1/responses"
INPUT = '{"input": "*** Begin"}'
TOOL = {"type": "function", **FIND["function"]}


def test_a_whole_reply_is_items(serve):
    body = serve("Hm.</think>Hello.").post(PATH, json={"input": "hi"}).json()
    assert (body["object"], body["status"]) == ("response", "completed")
    reasoning, message = body["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert reasoning["summary"] == []
    assert message["content"][0] == {"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}
    usage = body["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_tokens_details"]["reasoning_tokens"] > 0


def test_the_events_build_up_the_response_in_order(serve):
    response = serve("Hm.</think>Hello.").post(PATH, json={"input": "hi", "stream": True})
    found = events(response)
    assert [data["sequence_number"] for _, data in found] == list(range(len(found)))
    assert "[DONE]" not in response.text
    names = [name for name, _ in found]
    short = [name for index, name in enumerate(names) if index == 0 or name != names[index - 1]]
    assert short == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert "".join(data["delta"] for name, data in found if name == "response.output_text.delta") == "Hello."
    last = found[-1][1]["response"]
    assert last["output"] == [data["item"] for name, data in found if name == "response.output_item.done"]


def test_the_limit_makes_it_incomplete(serve):
    body = serve("Hm.</think>Hello.").post(PATH, json={"input": "hi", "max_output_tokens": 3}).json()
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_a_call_cut_off_by_the_limit_is_in_no_output(serve):
    client = serve(CALL)
    ask = {"input": "hi", "tools": [TOOL], "max_output_tokens": 25}
    assert [item["type"] for item in client.post(PATH, json=ask).json()["output"]] == ["reasoning"]
    found = events(client.post(PATH, json={**ask, "stream": True}))
    assert found[-1][0] == "response.incomplete"
    assert [item["type"] for item in found[-1][1]["response"]["output"]] == ["reasoning"]
    cut = [data["item"] for name, data in found if name == "response.output_item.done"][-1]
    assert (cut["type"], cut["status"]) == ("function_call", "incomplete")


def test_a_tool_loop_keeps_reasoning_calls_and_results_together(serve):
    client = serve(CALL, "Found.</think>It is there.")
    first = client.post(PATH, json={"input": "hi", "tools": [TOOL]}).json()
    call = first["output"][-1]
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "find", '{"q": "x"}')
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        *first["output"],
        {"type": "function_call_output", "call_id": call["call_id"], "output": "here"},
    ]
    second = client.post(PATH, json={"input": items, "tools": [TOOL]}).json()
    assert second["output"][-1]["content"][0]["text"] == "It is there."
    assert second["usage"]["input_tokens_details"]["cached_tokens"] >= first["usage"]["total_tokens"] - 1


def test_a_namespace_is_flattened_for_the_model_and_put_back_for_the_client(serve):
    reply = f"</think>{SECTION}{one_call('mcp__a__find', 0, '{}')}{END_SECTION}"
    tools = [{"type": "namespace", "name": "mcp__a", "tools": [{"type": "function", "name": "find"}]}]
    client = serve(reply)
    body = client.post(PATH, json={"input": "hi", "tools": tools}).json()
    call = body["output"][-1]
    assert (call["namespace"], call["name"]) == ("mcp__a", "find")
    items = [
        {"role": "user", "content": "hi"},
        {**call, "id": "x"},
        {"type": "function_call_output", "call_id": call["call_id"], "output": "y"},
    ]
    assert client.post(PATH, json={"input": items, "tools": tools}).is_success


def test_a_custom_tool_takes_plain_text(serve):
    reply = f"</think>{SECTION}{one_call('apply', 0, INPUT)}{END_SECTION}"
    tools = [{"type": "custom", "name": "apply", "description": "d"}]
    client = serve(reply)
    item = client.post(PATH, json={"input": "hi", "tools": tools}).json()["output"][-1]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply", "*** Begin")
    found = events(client.post(PATH, json={"input": "hi", "tools": tools, "stream": True}))
    assert [data["input"] for name, data in found if name == "response.custom_tool_call_input.done"] == ["*** Begin"]


@pytest.mark.parametrize("kind", ["web_search", "image_generation", "local_shell", "mcp", "tool_search", "anything"])
def test_tools_of_other_services_are_passed_over(serve, kind):
    assert serve().post(PATH, json={"input": "hi", "tools": [{"type": kind}, TOOL]}).is_success


def test_state_is_not_kept_and_says_so(serve):
    client = serve()
    refused = client.post(PATH, json={"input": "hi", "previous_response_id": "resp_1"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "previous_response_not_found")
    assert client.get(PATH + "/resp_1").status_code == 404
    assert client.post(PATH, json={"input": "hi", "background": True}).status_code == 400
    assert client.post(PATH, json={"input": "hi", "store": True, "include": ["x"]}).is_success


def test_unknown_items_are_passed_over_and_wrong_ones_named(serve):
    client = serve()
    items = [{"type": "item_reference", "id": "x"}, {"role": "user", "content": "hi"}, {"type": "web_search_call"}]
    assert client.post(PATH, json={"input": items}).is_success
    refused = client.post(PATH, json={"input": [{"type": "function_call", "name": "a"}]})
    assert refused.status_code == 400
    assert "input[0]" in refused.json()["error"]["message"]
