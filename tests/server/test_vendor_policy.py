"""The parameter checks of the Kimi Vendor Verifier, in both of its think modes."""

from __future__ import annotations

import httpx
import pytest

from tests.fakes.engines import engine_of, reciting_model
from tests.fakes.http_server import context_of, running

PATH = "/v1/chat/completions"
MODES = {
    ("kimi", True): {"thinking": {"type": "enabled"}},
    ("kimi", False): {"thinking": {"type": "disabled"}},
    ("opensource", True): {"chat_template_kwargs": {"thinking": True}},
    ("opensource", False): {"chat_template_kwargs": {"thinking": False}},
}
ACCEPTED = {
    True: [{}, {"temperature": 1.0}, {"temperature": 0.6}, {"temperature": 0.0}, {"top_p": 0.95}, {"n": 1}],
    False: [{}, {"temperature": 0.6}, {"top_p": 0.95}, {"presence_penalty": 0}, {"frequency_penalty": 0.0}],
}
REFUSED = [
    {"temperature": 0.5},
    {"temperature": 1.1},
    {"temperature": 2.0},
    {"temperature": -0.1},
    {"top_p": 0.8},
    {"presence_penalty": 0.5},
    {"frequency_penalty": 0.5},
    {"n": 2},
    {"stop": ["x"] * 6},
    {"stop": ["x" * 33]},
    {"tools": [{"type": "function", "function": {"name": "ab"}}]},
    {"tools": [{"type": "function", "function": {"name": f"tool{i}"}} for i in range(129)]},
]


@pytest.fixture
def client(serve):
    return serve("Hm.</think>Hello.", param_policy="vendor")


@pytest.mark.parametrize("mode", MODES)
def test_the_fixed_values_pass_and_content_is_a_string(client, mode):
    for fields in ACCEPTED[mode[1]]:
        body = {"messages": [{"role": "user", "content": "Hi"}], **MODES[mode], **fields}
        response = client.post(PATH, json=body)
        assert response.status_code == 200, fields
        assert isinstance(response.json()["choices"][0]["message"]["content"][:50], str)


@pytest.mark.parametrize("mode", MODES)
def test_other_values_are_refused(client, mode):
    for fields in REFUSED:
        body = {"messages": [{"role": "user", "content": "Hi"}], **MODES[mode], **fields}
        response = client.post(PATH, json=body)
        assert response.status_code == 400, fields
        assert next(iter(fields)) in response.json()["error"]["message"]


@pytest.mark.parametrize("mode", MODES)
def test_a_model_that_asks_to_be_decoded_greedily_passes_too(mode):
    engine = engine_of(reciting_model("Hm.</think>Hello."), context_length=1024, is_greedy_by_default=True)
    with running(context_of(engine, param_policy="vendor")) as url:
        body = {"messages": [{"role": "user", "content": "Hi"}], **MODES[mode]}
        assert httpx.post(url + PATH, json=body).status_code == 200


def test_the_open_policy_takes_what_common_clients_send(serve):
    client = serve("Hm.</think>Hello.")
    for fields in ({"temperature": 0}, {"temperature": 0, "seed": 1234}, {"temperature": 1.0, "top_p": 0.95}):
        assert client.post(PATH, json={"messages": [{"role": "user", "content": "Hi"}], **fields}).is_success
