"""Running the server: it listens at once, loads the model beside that, and leaves in good order."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from moonlet.errors import OptionError
from moonlet.server.app import build_app
from moonlet.server.context import Context
from moonlet.server.engine_face import EngineFace
from moonlet.server.options import ServeOptions

logger = logging.getLogger(__name__)

Load = Callable[[], EngineFace]
"""Loads the model; blocks, so it is called in a thread."""

_LAST_WORDS_S = 5.0
"""Time to send the ends of replies that were cut short by the end of the server."""


def serve(options: ServeOptions, load: Load, announce: Callable[[str], None]) -> None:
    """Serve until a signal stops it. announce: is told where, and when the model is ready.

    Raises OptionError for an address that cannot be listened on, and whatever `load` raises.
    """
    context = Context(options)
    app = build_app(context)
    listener = _listener(options)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            # Replies end by themselves before that; this is for clients that do not read theirs.
            timeout_graceful_shutdown=math.ceil(options.shutdown_s + _LAST_WORDS_S),
        ),
        context,
    )
    host, port = listener.getsockname()[:2]
    announce(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
    asyncio.run(_run(server, listener, context, load, announce))


async def _run(
    server: uvicorn.Server, listener: socket.socket, context: Context, load: Load, announce: Callable[[str], None]
) -> None:
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    loading = asyncio.ensure_future(asyncio.to_thread(load))
    await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done() and loading.exception() is None:
        context.loaded_engine = loading.result()
        announce(f"ready: {context.loaded_engine.facts.name}")
    else:
        server.should_exit = True
    await serving
    await loading
    if context.loaded_engine is not None:
        await context.loaded_engine.close()


class _Server(uvicorn.Server):
    """Tells the endpoints when it stops, so that no new work is taken while the old is finished."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self._context = context

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish or hand back what runs, within the limit."""
        self._context.is_stopping = True
        logger.info("stopping: running requests get %g seconds", self._context.options.shutdown_s)
        ending = asyncio.ensure_future(self._end_replies())
        await super().shutdown(sockets)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)

    async def _end_replies(self) -> None:
        """After the time they are given: each is told in the way of its API, inside the stream where it has one."""
        await asyncio.sleep(self._context.options.shutdown_s)
        if self._context.loaded_engine is not None:
            await self._context.loaded_engine.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in good order, and let the program end as one that did what it was told.

        While the model is loading there is nothing to finish, and the signal ends the program as if nobody handled it,
        since a thread that loads cannot be told to stop. A second Ctrl+C ends it too.
        """
        if self._context.loaded_engine is None:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        elif self.should_exit and sig == signal.SIGINT:
            super().handle_exit(sig, frame)
        self.should_exit = True


def _listener(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((options.host, options.port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise OptionError(
            f"host {options.host}, port {options.port}: cannot listen there ({error.strerror or error}); "
            "choose another --port, or 0 for a free one"
        ) from None
    return listener
