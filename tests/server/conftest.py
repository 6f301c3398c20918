from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.fakes.engines import engine_of, reciting_model
from tests.fakes.http_server import context_of, running

Serve = Callable[..., httpx.Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers whose model says given replies, one a turn, and gives a client for each."""
    with ExitStack() as stack:

        def start(*replies: str, context_length: int = 4096, model: Any = None, **options: Any) -> httpx.Client:
            model = model or reciting_model(*(replies or ("Hm.</think>Hello.",)))
            rendering = options.get("tool_rendering", "typed")
            engine = engine_of(model, context_length=context_length, tool_rendering=rendering)
            url = stack.enter_context(running(context_of(engine, **options)))
            return stack.enter_context(httpx.Client(base_url=url, timeout=30))

        yield start


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    """The data of a stream's chunks, without the end marker and comments."""
    lines = [line[6:] for line in response.text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def events(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """Named events and their data."""
    found = []
    for block in response.text.split("\n\n"):
        lines = block.split("\n")
        if lines[0].startswith("event: "):
            found.append((lines[0][7:], json.loads(lines[1][6:])))
    return found
