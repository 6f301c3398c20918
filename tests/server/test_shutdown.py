"""A server that is told to stop: the program itself, with a model that recites, and real signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.server.replies import USER

ENDLESS = "Hm " * 900
STREAMS = {
    "/v1/chat/completions": {"messages": USER, "stream": True},
    "/v1/completions": {"prompt": "<|im_assistant|><|im_middle|><think>", "max_tokens": 800, "stream": True},
    "/v1/messages": {"messages": USER, "stream": True, "thinking": {"type": "adaptive"}},
    "/v1/responses": {"input": "hi", "stream": True},
}


@contextmanager
def served(
    reply: str, *, step_s: float = 0, shutdown_s: float = 60, load_s: float = 0, until: str = "ready"
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program and its URL, once it has said the line that begins with `until`."""
    command = [
        sys.executable,
        "-m",
        "tests.fakes.program",
        "serve",
        "--port",
        "0",
        "--shutdown-s",
        str(shutdown_s),
    ]
    env = {
        **os.environ,
        "MOONLET_FAKE_REPLIES": json.dumps([reply]),
        "MOONLET_FAKE_STEP_S": str(step_s),
        "MOONLET_FAKE_LOAD_S": str(load_s),
    }
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, cwd=Path(__file__).parents[2])
    try:
        url = ""
        for line in process.stderr:
            url = url or "".join(re.findall(r"listening on (\S+)", line))
            if line.startswith(until):
                break
        yield process, url
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_running_reply_is_finished_and_the_program_ends_well(sent):
    with served("Hm.</think>" + "word " * 20, step_s=0.02, shutdown_s=60) as (process, url):
        with httpx.stream("POST", url + "/v1/chat/completions", json=STREAMS["/v1/chat/completions"]) as response:
            lines = response.iter_lines()
            next(lines)
            process.send_signal(sent)
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert json.loads(rest[-2][6:])["choices"][0]["finish_reason"] == "stop"
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in errors


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_model_is_loading_ends_the_program_at_once(sent):
    with served("", load_s=3600, until="listening") as (process, url):
        # Once a request is answered, signals have their handlers.
        httpx.get(url + "/health")
        process.send_signal(sent)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == -sent
        assert "Traceback" not in errors


def test_a_reply_that_takes_longer_is_ended_in_the_way_of_its_api():
    with served(ENDLESS, step_s=0.05, shutdown_s=0.5) as (process, url), ExitStack() as stack:
        streams = {}
        for path, body in STREAMS.items():
            response = stack.enter_context(httpx.stream("POST", url + path, json=body, timeout=60))
            streams[path] = response.iter_lines()
            next(streams[path])
        process.send_signal(signal.SIGTERM)
        ends = {path: [line for line in lines if line][-1] for path, lines in streams.items()}
        for path in ("/v1/chat/completions", "/v1/completions"):
            error = json.loads(ends[path].removeprefix("data: "))["error"]
            assert (error["type"], error["message"]) == ("server_error", "the server is stopping")
        error = json.loads(ends["/v1/messages"].removeprefix("data: "))
        assert (error["type"], error["error"]["type"]) == ("error", "overloaded_error")
        failed = json.loads(ends["/v1/responses"].removeprefix("data: "))
        assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in errors
