"""What clients send to a server, written down as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from moonlet.server.context import Context


class Recorder:
    """Wraps an application. Each request adds a JSON line to `file`: client, method, path, status, body."""

    def __init__(self, app: ASGIApp, file: Path, client: str) -> None:
        self._app = app
        self._file = file
        self._client = client

    @classmethod
    def around(cls, build_app: Callable[[Context], ASGIApp], file: Path, client: str, context: Context) -> Recorder:
        """For the place where the application is built."""
        return cls(build_app(context), file, client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        status = 0

        async def receive_and_keep() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def send_and_look(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive_and_keep, send_and_look)
        finally:
            facts = {"client": self._client, "method": scope["method"], "path": scope["path"], "status": status}
            line = {**facts, "body": _json(bytes(body))}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _json(body: bytes) -> object:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return f"{len(body)} bytes that are no JSON"
