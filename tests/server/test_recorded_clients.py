"""What real programs sent, in their own shapes: the request before a tool call and the one with its result.

vectors/clients/README.md says where the requests come from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.engines import model_of, tiny_tokenizer
from tests.fakes.scripted_model import agent_script
from tests.server.conftest import chunks, events

REQUESTS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "vectors" / "clients" / "requests.jsonl").read_text().splitlines()
]


def items_of(body: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The conversation, and the field it stands in."""
    key = "messages" if "messages" in body else "input"
    return key, body[key]


def is_calling(item: Mapping[str, Any]) -> bool:
    """Whether the turn that calls the tool begins with `item`."""
    return bool(item.get("tool_calls")) or '"tool_use"' in json.dumps(item) or item.get("type") == "reasoning"


def before_the_call(body: Mapping[str, Any]) -> dict[str, Any]:
    key, items = items_of(body)
    return {**body, key: items[: next(at for at, item in enumerate(items) if is_calling(item))]}


def heard(reply: Mapping[str, Any]) -> tuple[str | None, str, int]:
    """The name of the called tool, the visible text and the cached tokens of a whole reply, in any of the APIs."""
    usage = reply["usage"]
    if "choices" in reply:
        message = reply["choices"][0]["message"]
        calls = message.get("tool_calls") or [{"function": {"name": None}}]
        return calls[0]["function"]["name"], message["content"], usage["cached_tokens"]
    if "output" in reply:
        calls = [item["name"] for item in reply["output"] if item["type"] == "function_call"]
        texts = [part["text"] for item in reply["output"] if item["type"] == "message" for part in item["content"]]
        return next(iter(calls), None), "".join(texts), usage["input_tokens_details"]["cached_tokens"]
    calls = [block["name"] for block in reply["content"] if block["type"] == "tool_use"]
    texts = [block["text"] for block in reply["content"] if block["type"] == "text"]
    return next(iter(calls), None), "".join(texts), usage["cache_read_input_tokens"]


@pytest.mark.parametrize("request_", REQUESTS, ids=[request["client"] for request in REQUESTS])
def test_a_recorded_conversation_calls_its_tool_and_reads_the_result_from_a_cached_prefix(serve, request_):
    path, body, tool = request_["path"], request_["body"], request_["tool"]
    script = agent_script(tiny_tokenizer(), tool, request_["arguments"], "Done.")
    client = serve(model=model_of(script, 1 << 15), context_length=1 << 15)
    # The script answers only if it sees the declaration of the tool, and the call that the history holds.
    for conversation, name, text in ((before_the_call(body), tool, ""), (body, None, "Done.")):
        whole = client.post(path, json={**conversation, "stream": False})
        assert whole.status_code == 200, whole.text
        assert heard(whole.json())[:2] == (name, text)
        streamed = client.post(path, json={**conversation, "stream": True})
        assert streamed.status_code == 200
        assert "error" not in {name for name, _ in events(streamed)}
        assert len(chunks(streamed)) > 3
    assert heard(whole.json())[2] > 0


def test_the_records_cover_every_api():
    assert {request["path"] for request in REQUESTS} == {"/v1/chat/completions", "/v1/messages", "/v1/responses"}
