"""What happens around a reply: signs of life, clients that leave, time limits."""

from __future__ import annotations

import threading
import time

import httpx
import pytest

from tests.fakes.engines import engine_of, reciting_model
from tests.fakes.http_server import context_of, running
from tests.server.replies import USER

LONG = "Hm " * 300 + "</think>Hello."


@pytest.fixture
def gated():
    """A model that waits before each pass until it is let on."""
    model, gate = reciting_model(LONG), threading.Event()

    def wait():
        gate.wait(timeout=20)

    model.before_pass = wait
    yield model, gate
    gate.set()


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "fields", "sign"),
    [
        ("/v1/chat/completions", {"messages": USER}, ": keep-alive"),
        ("/v1/completions", {"prompt": "hi", "max_tokens": 2}, ": keep-alive"),
        ("/v1/messages", {"messages": USER}, "event: ping"),
        ("/v1/responses", {"input": "hi"}, "event: response.in_progress"),
    ],
)
def test_a_stream_says_that_it_lives_before_its_first_token(gated, path, fields, sign):
    model, gate = gated
    context = context_of(engine_of(model, context_length=2048), keep_alive_s=0.05)
    with running(context) as url, httpx.stream("POST", url + path, json={**fields, "stream": True}) as response:
        assert response.status_code == 200
        lines = response.iter_lines()
        seen = 0
        while seen < 3:
            seen += next(lines).startswith(sign)
        gate.set()
        response.close()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_everything(gated, stream):
    model, gate = gated
    engine = engine_of(model, context_length=2048)
    with running(context_of(engine)) as url:
        body = {"messages": USER, "stream": stream}
        if stream:
            with httpx.stream("POST", url + "/v1/chat/completions", json=body) as response:
                # Kept: a reader that is dropped closes the connection.
                lines = response.iter_lines()
                assert next(lines).startswith("data: ")
                # The first line goes out before the prompt is made: the engine must have the request to cancel it.
                wait_until(lambda: engine.stats().num_running == 1)
        else:
            with pytest.raises(httpx.TimeoutException):
                httpx.post(url + "/v1/chat/completions", json=body, timeout=2)
        gate.set()
        wait_until(lambda: engine.stats().counts.num_cancelled == 1)
        assert engine.stats().num_running == engine.stats().num_waiting == 0
        assert engine.stats().used_pages == 0


def test_a_reply_that_takes_too_long_is_ended(gated):
    model, _ = gated
    context = context_of(engine_of(model, context_length=2048), request_timeout_s=0.2)
    with running(context) as url:
        refused = httpx.post(url + "/v1/chat/completions", json={"messages": USER}, timeout=10)
        assert (refused.status_code, refused.json()["error"]["code"]) == (408, "request_timeout")
        streamed = httpx.post(url + "/v1/chat/completions", json={"messages": USER, "stream": True}, timeout=10)
        assert "request_timeout" in streamed.text
        assert "[DONE]" not in streamed.text


def test_a_full_queue_is_429_with_a_time_to_wait(gated):
    model, gate = gated
    engine = engine_of(model, context_length=2048, max_running=1, max_queue=0)
    with running(context_of(engine)) as url:
        body = {"messages": USER, "stream": True, "max_tokens": 2}
        with httpx.stream("POST", url + "/v1/chat/completions", json=body) as first:
            assert first.status_code == 200
            refused = httpx.post(url + "/v1/chat/completions", json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
            assert int(refused.headers["retry-after"]) >= 1
            gate.set()


def test_while_stopping_new_requests_are_turned_away():
    context = context_of(engine_of(reciting_model("Hm.</think>Hello.")))
    with running(context) as url:
        context.is_stopping = True
        assert httpx.post(url + "/v1/chat/completions", json={"messages": USER}).status_code == 503
        assert httpx.get(url + "/health").status_code == 503
