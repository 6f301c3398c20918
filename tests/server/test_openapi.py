"""/openapi.json describes every path, and the server keeps to it: cases that schemathesis makes from it.

A few cases by default; MOONLET_API_CASES=2000 makes it the long run of docs/server.md.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import pytest
from jsonschema import Draft202012Validator

from moonlet.server.app import ENDPOINTS
from moonlet.server.openapi import openapi_document
from tests.fakes.engines import engine_of, reciting_model
from tests.fakes.http_server import context_of, running

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed")

NUM_CASES = int(os.environ.get("MOONLET_API_CASES", "120"))
MODES = tuple(schemathesis.GenerationMode)
NUM_BODIES = sum(endpoint.body is not None for endpoint in ENDPOINTS)
# Those without a body have little to vary; the others alone make up the number.
EACH = math.ceil(NUM_CASES / NUM_BODIES / len(MODES))
ALWAYS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    *("response_headers_conformance", "unsupported_method", "allow_header_conformance"),
)
# Valid by the document is not yet sensible: a result may answer a call that nobody made.
BY_MODE = {"positive": (), "negative": ("negative_data_rejection",)}


@pytest.fixture(scope="module")
def api() -> Iterator[object]:
    engine = engine_of(reciting_model("Hm.</think>Hello."), context_length=2048, chunk_size=512)
    with running(context_of(engine, max_output_tokens=4)) as url:
        yield schemathesis.openapi.from_url(url + "/openapi.json")


def checks_for(mode: str) -> list[object]:
    return schemathesis.checks.CHECKS.get_by_names([*ALWAYS, *BY_MODE[mode]])


def test_the_document_is_valid_and_names_every_endpoint(api):
    api.validate()
    document = openapi_document(ENDPOINTS)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    shown = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert shown == {(endpoint.method, endpoint.path.replace(":path", "")) for endpoint in ENDPOINTS}
    required = document["components"]["schemas"]
    assert required["ChatBody"]["required"] == required["MessagesBody"]["required"] == ["messages"]
    assert (required["ResponsesBody"]["required"], required["CompletionBody"]["required"]) == (["input"], ["prompt"])


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_whatever_is_asked_gets_an_answer_of_the_documented_shape(api, endpoint, mode):
    has_input = endpoint.body is not None or "{" in endpoint.path
    if mode is schemathesis.GenerationMode.NEGATIVE and endpoint.body is None:
        pytest.skip("any text is a name, and there is no body to be wrong")
    operation = api[endpoint.path.replace(":path", "")][endpoint.method]
    checks = checks_for(mode.value)

    @hypothesis.settings(
        max_examples=EACH if has_input else 1,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],  # a case as found says enough, and shrinking one takes minutes
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate(checks=checks)

    ask()
