"""What every request passes before it reaches an endpoint: its name, its origin, its key, and the log after it.

Plain ASGI, so that streams pass through untouched.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections.abc import Collection
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from moonlet.server.context import Context
from moonlet.server.error_response import error_response, is_anthropic
from moonlet.server.errors import FORBIDDEN_HOST, INTERNAL, UNAUTHORISED, ApiError

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("moonlet.server.access")

_OPEN_PATHS = frozenset({"/health"})
_CORS_METHODS = "GET, POST, DELETE, OPTIONS"


class Gate:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        """Raises OptionError for a file of keys that cannot be read."""
        self._app = app
        self._context = context
        options = context.options
        self._keys = tuple(key.encode() for key in options.all_keys())
        self._origins = frozenset(options.cors)
        # Whoever listens on every address is reached under names only its network knows, and holds a key.
        self._hosts = _host_names(options.host, options.allowed_host) if options.is_loopback else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = scope["path"].rstrip("/") or "/"
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = "req_" + secrets.token_hex(12)
        started = time.perf_counter()
        status = 0
        extra = self._response_headers(scope, request_id)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(extra)
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send_with_headers)
            else:
                await self._app(scope, receive, send_with_headers)
        except Exception as error:
            logger.error("request %s failed", request_id, exc_info=error)
            if status == 0:
                response = error_response(scope, ApiError(INTERNAL, "internal error"))
                await response(scope, receive, send_with_headers)
        finally:
            self._log(scope, state, status, time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if self._hosts is not None and _name_of(headers.get("host", "")) not in self._hosts:
            return error_response(
                scope, ApiError(FORBIDDEN_HOST, "host: this name is not one of the server's; see --allowed-host")
            )
        if scope["method"] == "OPTIONS" and self._allows_origin(headers.get("origin")):
            return Response(
                status_code=204,
                headers={
                    "access-control-allow-methods": _CORS_METHODS,
                    "access-control-allow-headers": headers.get("access-control-request-headers", "*"),
                    "access-control-max-age": "600",
                },
            )
        is_open = scope["path"] in _OPEN_PATHS or (scope["path"] == "/" and scope["method"] == "HEAD")
        if self._keys and not is_open and not self._has_key(headers):
            return error_response(scope, ApiError(UNAUTHORISED, "invalid or missing API key"))
        return None

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = [headers.get("x-api-key", ""), bearer.strip() if scheme.lower() == "bearer" else ""]
        # Every key is compared to its end, so that the time taken tells nothing.
        matches = [
            hmac.compare_digest(key, candidate.encode("utf-8", "surrogatepass"))
            for key in self._keys
            for candidate in given
        ]
        return any(matches)

    def _allows_origin(self, origin: str | None) -> bool:
        return origin is not None and ("*" in self._origins or origin in self._origins)

    def _response_headers(self, scope: Scope, request_id: str) -> dict[str, str]:
        headers = {"x-request-id": request_id, "x-trace-id": request_id}
        if is_anthropic(scope["path"]):
            headers["request-id"] = request_id
        origin = Headers(scope=scope).get("origin")
        if origin is not None and self._allows_origin(origin):
            headers["access-control-allow-origin"] = origin
            headers["vary"] = "Origin"
            headers["access-control-expose-headers"] = "x-request-id, retry-after"
        return headers

    def _log(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        route = scope.get("route")
        path = getattr(route, "path", "unknown path")
        self._context.metrics.answered(path, status or 499)
        usage = state.get("usage")
        # Never a prompt, a reply, a query or a key.
        access_logger.info(
            "id=%s method=%s path=%s status=%d seconds=%.3f%s",
            state["request_id"],
            scope["method"],
            path,
            status or 499,
            seconds,
            ""
            if usage is None
            else f" prompt={usage.prompt_tokens} cached={usage.cached_tokens} generated={usage.completion_tokens}"
            f" finish={state['finish_reason']}",
        )


def _host_names(host: str, allowed: Collection[str]) -> frozenset[str]:
    return frozenset({"localhost", "127.0.0.1", "::1", host.lower(), *(name.lower() for name in allowed)})


def _name_of(host: str) -> str:
    """The name of a Host header, without its port; IPv6 addresses stand in brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
