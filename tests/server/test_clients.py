"""The official Python clients and LiteLLM: the examples of the model card, streamed and not, on K25-nano where it can.

The examples with an image and a video are in test_client_media.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moonlet.engine import LLM
from tests.fakes.engines import engine_of, reciting_model
from tests.fakes.http_server import context_of, running
from tests.server.chat_clients import CLIENTS, STREAMED, hear
from tests.server.replies import CALL, FIND, Q

openai = pytest.importorskip("openai", reason="the openai client is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic client is not installed")

QUESTION = [{"role": "user", "content": "which one is bigger, 9.11 or 9.9? think carefully."}]


@pytest.fixture(scope="module")
def nano() -> Iterator[str]:
    with running(context_of(LLM())) as url:
        yield url


@pytest.fixture
def scripted() -> Iterator[str]:
    with running(context_of(engine_of(reciting_model(CALL, "Found.</think>It is there."), context_length=4096))) as url:
        yield url


@STREAMED
@CLIENTS
def test_thinking_and_instant_get_the_right_answer(nano, client, stream):
    create = client(nano)
    modes = ({}, {"thinking": {"type": "disabled"}}, {"chat_template_kwargs": {"thinking": False}})
    heard = [hear(create, QUESTION, stream=stream, temperature=0, max_tokens=4096, extra_body=mode) for mode in modes]
    for reply in heard:
        assert "9.9" in reply.content
        assert reply.finish_reason == "stop"
    assert heard[0].reasoning
    assert not heard[1].reasoning
    assert (heard[1].content, heard[1].reasoning) == (heard[2].content, heard[2].reasoning)
    other = hear(create, QUESTION, stream=not stream, temperature=0, max_tokens=4096)
    assert (heard[0].reasoning, heard[0].content) == (other.reasoning, other.content)
    assert heard[0].usage.completion_tokens == other.usage.completion_tokens


def test_openai_responses_whole_and_streamed(nano):
    client = openai.OpenAI(base_url=nano + "/v1", api_key="x")
    ask = {"model": "k", "input": QUESTION[0]["content"], "temperature": 0}
    whole = client.responses.create(**ask)
    assert "9.9" in whole.output_text
    with client.responses.stream(**ask) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == whole.output_text


@STREAMED
@CLIENTS
def test_tool_loop(scripted, client, stream):
    create = client(scripted)
    messages = [{"role": "user", "content": "hi"}]
    first = hear(create, messages, stream=stream, tools=[FIND])
    assert first.finish_reason == "tool_calls"
    assert first.calls == [["functions.find:0", "find", Q]]
    messages += [first.to_message(), {"role": "tool", "tool_call_id": first.calls[0][0], "content": "here"}]
    second = hear(create, messages, stream=stream, tools=[FIND])
    assert (second.reasoning, second.content) == ("Found.", "It is there.")
    assert second.usage.prompt_tokens_details.cached_tokens >= first.usage.prompt_tokens


@CLIENTS
def test_errors_are_the_clients_own_kinds(scripted, client):
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client(scripted)(messages=QUESTION, temperature=9)


def test_openai_lists_the_model(scripted):
    client = openai.OpenAI(base_url=scripted + "/v1", api_key="x")
    assert client.models.list().data[0].id == "K25-nano"


def test_anthropic_whole_streamed_and_counted(nano):
    client = anthropic.Anthropic(base_url=nano, api_key="x")
    ask = {
        "model": "k",
        "max_tokens": 400,
        "messages": QUESTION,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    ask = {**ask, "max_tokens": 2000}
    whole = client.messages.create(**ask, extra_body={"temperature": 0})
    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert "9.9" in whole.content[-1].text
    with client.messages.stream(**ask, extra_body={"temperature": 0}) as stream:
        streamed = stream.get_final_message()
    assert [block.type for block in streamed.content] == ["thinking", "text"]
    assert streamed.content[-1].text == whole.content[-1].text
    counted = client.messages.count_tokens(model="k", messages=QUESTION, thinking=ask["thinking"])
    assert counted.input_tokens == whole.usage.input_tokens + whole.usage.cache_read_input_tokens


def test_anthropic_tool_loop(scripted):
    client = anthropic.Anthropic(base_url=scripted, api_key="x")
    tools = [{"name": "find", "input_schema": FIND["function"]["parameters"]}]
    ask = {"model": "k", "max_tokens": 500, "tools": tools, "thinking": {"type": "adaptive"}}
    messages = [{"role": "user", "content": "hi"}]
    first = client.messages.create(messages=messages, **ask)
    assert first.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": first.content[-1].id, "content": "here"}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(messages=messages, **ask)
    assert second.content[-1].text == "It is there."
    assert second.usage.cache_read_input_tokens > 0
