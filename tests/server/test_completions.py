"""POST /v1/completions: prompts that come back with their log-probabilities, as evaluation harnesses ask."""

from __future__ import annotations

from itertools import accumulate

import pytest

from tests.fakes.engines import hashing_model
from tests.server.conftest import chunks

PATH = "/v1/completions"
PROMPT = list(range(100, 200))


def logprobs(choice):
    return choice["logprobs"]


@pytest.mark.parametrize("max_tokens", [0, 1, 5])
def test_an_echoed_prompt_comes_with_its_log_probabilities(serve, max_tokens):
    client = serve(model=hashing_model())
    ask = {"prompt": PROMPT, "logprobs": 2, "temperature": 0}
    reply = client.post(PATH, json={**ask, "max_tokens": 10}).json()["choices"][0]
    body = client.post(PATH, json={**ask, "max_tokens": max_tokens, "echo": True}).json()
    (choice,) = body["choices"]
    found = logprobs(choice)
    assert body["usage"]["completion_tokens"] == max_tokens
    assert choice["finish_reason"] == "length"
    assert len(found["tokens"]) == len(found["token_logprobs"]) == len(found["top_logprobs"]) == 100 + max_tokens
    assert found["token_logprobs"][0] is found["top_logprobs"][0] is None
    assert all(value < 0 for value in found["token_logprobs"][1:])
    assert found["token_logprobs"][100:] == logprobs(reply)["token_logprobs"][:max_tokens]
    pairs = zip(found["token_logprobs"][1:], found["top_logprobs"][1:], strict=True)
    assert all(max(top.values()) >= one for one, top in pairs)
    lengths = map(len, found["tokens"])
    assert found["text_offset"] == [0, *accumulate(lengths)][:-1]


def test_prompts_side_by_side_and_cached_pages_change_nothing(serve):
    client = serve(model=hashing_model())
    ask = {"logprobs": 1}
    first = client.post(PATH, json={**ask, "prompt": [PROMPT, PROMPT[:3]], "max_tokens": 0, "echo": True}).json()
    whole, short = (logprobs(choice)["token_logprobs"] for choice in first["choices"])
    assert whole[:3] == short
    again = client.post(PATH, json={**ask, "prompt": PROMPT, "max_tokens": 0, "echo": True}).json()
    assert logprobs(again["choices"][0])["token_logprobs"] == whole, "though its pages are cached by now"


@pytest.mark.parametrize("max_tokens", [0, 4])
def test_a_stream_says_the_same(serve, max_tokens):
    client = serve(model=hashing_model())
    ask = {"prompt": PROMPT, "logprobs": 2, "seed": 3, "max_tokens": max_tokens, "echo": True}
    (whole,) = client.post(PATH, json=ask).json()["choices"]
    pieces = [chunk["choices"][0] for chunk in chunks(client.post(PATH, json={**ask, "stream": True}))]
    assert "".join(piece["text"] for piece in pieces) == whole["text"]
    for name, values in logprobs(whole).items():
        assert [value for piece in pieces for value in logprobs(piece)[name]] == values


def test_an_echo_without_log_probabilities_is_the_prompt_and_the_text(serve):
    client = serve(model=hashing_model())
    (choice,) = client.post(PATH, json={"prompt": "a b", "max_tokens": 0, "echo": True}).json()["choices"]
    assert (choice["text"], choice["logprobs"]) == ("a b", None)
    refused = client.post(PATH, json={"prompt": "a b", "max_tokens": 0})
    assert refused.status_code == 400
    assert "max_tokens: found 0" in refused.json()["error"]["message"]
