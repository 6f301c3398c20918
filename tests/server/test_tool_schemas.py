"""Calls forced from a model that writes nothing but nonsense: their arguments obey the tool's schema all the same."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from moonlet.server.app import build_app
from tests.fakes.engines import babbling_model, engine_of
from tests.fakes.http_server import context_of
from tests.server.conftest import chunks
from tests.server.replies import USER
from tests.server.tool_schemas import HOLDS, PASSED_OVER, REFUSED, closed

PATH = "/v1/chat/completions"
VECTORS = Path(__file__).parents[1] / "vectors" / "chat" / "tools_ts.jsonl"
MAX_TOKENS = 3000
NAMED = {"type": "function", "function": {"name": "f"}}
MODES = list(itertools.product(("required", NAMED), (True, False)))


def golden() -> dict[str, Any]:
    """Every schema of the golden tools; one of something else than objects as that of a property, which is also how the
    Kimi Vendor Verifier asks for it. Some tools have names that no request may use: here all are called `f`."""
    records = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]
    return {
        f"{record['name']}-{index}": of_objects(tool["function"].get("parameters"))
        for record in records
        for index, tool in enumerate(record["tools"])
        if isinstance(tool.get("function"), dict)
    }


def of_objects(schema: Any) -> Any:
    first = (schema or {}).get("anyOf", [schema or {}])[0]
    return schema if first.get("type", "object") in ("object", ["object"]) else closed(value=schema)


@pytest.fixture(scope="module")
def client():
    engine = engine_of(babbling_model(), context_length=4096, chunk_size=512)
    with TestClient(build_app(context_of(engine)), base_url="http://localhost") as found:
        yield found


def ask(schema: Any, choice: Any, thinking: bool, seed: int) -> dict[str, Any]:
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    return {
        **{"messages": USER, "tools": [tool], "tool_choice": choice, "seed": seed, "parallel_tool_calls": False},
        **{"max_tokens": MAX_TOKENS, "think": thinking, "thinking_token_budget": 10, "temperature": 1.0},
    }


def arguments(client: httpx.Client, body: dict[str, Any]) -> str:
    """Those of the one call in the reply."""
    response = client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    choice = response.json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == ""
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "f"
    return call["function"]["arguments"]


def streamed_arguments(client: httpx.Client, body: dict[str, Any]) -> str:
    parts = chunks(client.post(PATH, json={**body, "stream": True}))
    deltas = [call for part in parts for call in part["choices"][0]["delta"].get("tool_calls", [])]
    assert deltas[0]["function"]["name"] == "f"
    assert parts[-1]["choices"][0]["finish_reason"] == "tool_calls"
    return "".join(delta["function"]["arguments"] for delta in deltas)


def check_valid(text: str, schema: Any) -> None:
    value = json.loads(text)
    assert isinstance(value, dict)
    assert "\n" not in text
    Draft202012Validator(schema or {}).validate(value)


@pytest.mark.parametrize(("seed", "name"), list(enumerate(golden())))
def test_arguments_of_the_golden_tools_are_valid_whole_and_streamed(client, seed, name):
    schema = golden()[name]
    body = ask(schema, *MODES[seed % len(MODES)], seed)
    text = arguments(client, body)
    check_valid(text, schema)
    assert streamed_arguments(client, body) == text


@pytest.mark.parametrize(("seed", "name"), list(enumerate(HOLDS)))
def test_arguments_by_every_keyword_that_must_hold_are_valid(client, seed, name):
    read = arguments if seed % 2 else streamed_arguments
    check_valid(read(client, ask(HOLDS[name], *MODES[seed // 2 % len(MODES)], seed)), HOLDS[name])


@pytest.mark.parametrize("name", PASSED_OVER)
def test_a_keyword_that_cannot_be_obeyed_is_passed_over(client, name):
    value = json.loads(arguments(client, ask(PASSED_OVER[name], "required", False, 1)))
    assert all(key in value for key in PASSED_OVER[name].get("required", []))


@pytest.mark.parametrize("name", REFUSED)
def test_a_schema_that_nothing_satisfies_is_refused_by_its_part(client, name):
    schema, part = REFUSED[name]
    response = client.post(PATH, json=ask(schema, "required", False, 1))
    assert response.status_code == 400
    assert part in response.json()["error"]["message"]
    assert response.json()["error"]["message"].startswith("tools[0].function.parameters")


@pytest.mark.parametrize("name", HOLDS)
def test_an_answer_by_schema_is_valid_or_its_schema_refused_by_name(client, name):
    schema = HOLDS[name]
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    body = {"messages": USER, "response_format": form, "think": False, "max_tokens": MAX_TOKENS, "seed": 1}
    response = client.post(PATH, json=body)
    if response.status_code == 400:
        assert response.json()["error"]["message"].startswith("response_format.json_schema.schema")
        assert "patternProperties" in schema or "$ref" in json.dumps(schema) or "date" in json.dumps(schema)
        return
    Draft202012Validator(schema).validate(json.loads(response.json()["choices"][0]["message"]["content"]))
