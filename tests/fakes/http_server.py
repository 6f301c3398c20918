"""A server on a port of its own, in a thread, for clients that speak real HTTP."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from moonlet.engine import Engine
from moonlet.server.app import build_app
from moonlet.server.context import Context
from moonlet.server.engine_face import EngineFace, ModelFacts
from moonlet.server.local_engine import LocalEngine
from moonlet.server.options import ServeOptions


def face_of(engine: Engine, name: str = "K25-nano") -> LocalEngine:
    facts = ModelFacts(
        name, created=1_700_000_000, supports_images=engine.sees, supports_video=engine.sees, chat_template=""
    )
    return LocalEngine(engine, facts)


def context_of(engine: EngineFace | Engine | None, **options: Any) -> Context:
    context = Context(ServeOptions(**options))
    if isinstance(engine, Engine):
        engine = face_of(engine)
    context.loaded_engine = engine
    return context


@contextmanager
def running(context: Context) -> Iterator[str]:
    """Serves while the block runs; gives the base URL, without a slash at its end."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # From here on connections wait, however late the thread gets to them.
    listener.listen()
    config = uvicorn.Config(build_app(context), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()
