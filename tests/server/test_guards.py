"""Who may come in, under which name, with how much, and what is written down about it."""

from __future__ import annotations

import json
import logging

import httpx
import pytest

from moonlet.errors import OptionError
from moonlet.server.options import ServeOptions
from tests.fakes.engines import engine_of, reciting_model
from tests.fakes.http_server import context_of, running

PATH = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "a secret question"}]}


def test_without_its_key_nobody_gets_in(serve):
    client = serve(api_key=("sesame", "other"))
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "sesame"}, {"x-api-key": "sesam"}):
        refused = client.post(PATH, json=ASK, headers=headers)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"
    anthropic = client.post("/v1/messages", json=ASK)
    assert (anthropic.status_code, anthropic.json()["error"]["type"]) == (401, "authentication_error")
    for headers in ({"authorization": "Bearer sesame"}, {"authorization": "bearer other"}, {"x-api-key": "sesame"}):
        assert client.post(PATH, json=ASK, headers=headers).is_success
    assert client.get("/health").is_success
    assert client.head("/").is_success
    assert client.get("/").status_code == 401


def test_keys_come_from_a_file_too(tmp_path):
    file = tmp_path / "keys"
    file.write_text("# mine\nsesame\n\n", encoding="utf-8")
    assert ServeOptions(api_key_file=str(file), api_key=("a",)).all_keys() == {"sesame", "a"}
    file.write_text("# none\n", encoding="utf-8")
    with pytest.raises(OptionError, match="holds no key"):
        ServeOptions(api_key_file=str(file)).all_keys()
    with pytest.raises(OptionError, match="cannot be read"):
        ServeOptions(api_key_file=str(tmp_path / "no")).all_keys()


def test_listening_beyond_this_machine_needs_a_key_or_a_word():
    with pytest.raises(OptionError, match="--insecure"):
        ServeOptions(host="0.0.0.0")
    assert ServeOptions(host="0.0.0.0", insecure=True).all_keys() == frozenset()
    assert ServeOptions(host="0.0.0.0", api_key=("x",)).has_keys


def test_a_name_that_is_not_the_servers_is_refused(serve):
    client = serve(allowed_host=("box.local",))
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example"):
        assert client.get("/v1/models", headers={"host": host}).status_code == 403
    for host in ("localhost:1", "box.local", "[::1]:80"):
        assert client.get("/v1/models", headers={"host": host}).is_success


def test_pages_may_call_only_where_it_is_switched_on(serve):
    origin = {"origin": "http://page.example"}
    closed = serve().get("/v1/models", headers=origin)
    assert "access-control-allow-origin" not in closed.headers
    client = serve(cors=("http://page.example",), api_key=("k",))
    preflight = client.options(PATH, headers={**origin, "access-control-request-headers": "authorization"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == origin["origin"]
    assert preflight.headers["access-control-allow-headers"] == "authorization"
    answered = client.get("/v1/models", headers={**origin, "x-api-key": "k"})
    assert answered.headers["access-control-allow-origin"] == origin["origin"]
    assert "access-control-allow-origin" not in client.get("/v1/models", headers={"origin": "http://x"}).headers


def test_a_body_over_the_limit_is_refused_whether_it_says_so_or_not(serve):
    client = serve(max_body_mib=1)
    large = json.dumps({"messages": [{"role": "user", "content": "x" * (1 << 20)}]}).encode()

    def in_pieces():
        for start in range(0, len(large), 1 << 16):
            yield large[start : start + (1 << 16)]

    for content in (large, in_pieces()):
        refused = client.post(PATH, content=content, headers={"content-type": "application/json"})
        assert refused.status_code == 413
        assert "Request exceeds the maximum size" in refused.json()["error"]["message"]
        assert refused.json()["error"]["code"] == "request_too_large"


def test_what_is_not_json_is_415(serve):
    refused = serve().post(PATH, content=b"a=b", headers={"content-type": "application/x-www-form-urlencoded"})
    assert refused.status_code == 415


def test_paths_and_methods_that_do_not_exist_have_the_error_shape(serve):
    client = serve()
    assert client.get("/v2/nothing").json()["error"]["code"] == "not_found"
    wrong = client.put(PATH)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json()["error"]["type"] == "invalid_request_error"
    assert client.post(PATH + "/", json=ASK).is_success, "a slash at the end makes no difference"
    assert client.post("/v1/messages/nothing", json={}).json()["type"] == "error"


def test_another_models_name_is_served_unless_the_server_is_strict(serve):
    ask = {**ASK, "model": "gpt-9"}
    assert serve().post(PATH, json=ask).json()["model"] == "K25-nano"
    strict = serve(strict_model=True)
    refused = strict.post(PATH, json=ask)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert strict.post(PATH, json={**ask, "model": "K25-nano"}).is_success


def test_while_the_model_loads_the_server_says_so(serve):
    with running(context_of(None)) as url:
        client = serve()
        client.base_url = url
        assert (client.get("/health").status_code, client.get("/health").json()) == (503, {"status": "loading model"})
        refused = client.post(PATH, json=ASK)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "loading")
        assert refused.headers["retry-after"].isdigit()
        assert client.get("/metrics").is_success


def test_a_request_has_an_id_and_one_line_in_the_log_without_what_was_said(caplog):
    context = context_of(engine_of(reciting_model("Hm.</think>Hello.")))
    with caplog.at_level(logging.INFO, logger="moonlet"), running(context) as url:
        answered = httpx.post(url + PATH, json={**ASK, "brand_new_field": 1})
    request_id = answered.headers["x-request-id"]
    assert answered.headers["x-trace-id"] == request_id
    lines = [record.getMessage() for record in caplog.records if record.name == "moonlet.server.access"]
    assert len(lines) == 1
    assert f"id={request_id} method=POST path={PATH} status=200" in lines[0]
    assert "prompt=" in lines[0]
    assert "finish=stop" in lines[0]
    assert "secret" not in caplog.text
    assert "brand_new_field" in caplog.text


def test_limits_on_prompt_and_reply_hold(serve):
    client = serve(max_output_tokens=2, max_prompt_tokens=30)
    assert (
        client.post(PATH, json={**ASK, "messages": [{"role": "user", "content": "hi"}]}).json()["usage"][
            "completion_tokens"
        ]
        == 2
    )
    refused = client.post(PATH, json={"messages": [{"role": "user", "content": "a b c " * 30}]})
    assert refused.json()["error"]["code"] == "context_length_exceeded"


def test_metrics_count_requests_and_tokens():
    with running(context_of(engine_of(reciting_model("Hm.</think>Hello.")))) as url:
        httpx.post(url + PATH, json=ASK)
        text = httpx.get(url + "/metrics").text
    assert f'moonlet_requests_total{{path="{PATH}",status="200"}} 1.0' in text
    assert "moonlet_time_to_first_token_seconds_count 1.0" in text
    assert "moonlet_cache_pages " in text
