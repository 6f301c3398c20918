"""An error as the answer of the API whose path was asked."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Scope

from moonlet.server import sse
from moonlet.server.errors import ApiError


def is_anthropic(path: str) -> bool:
    """Whether the path belongs to the Messages API."""
    return path.startswith(("/v1/messages", "/anthropic/"))


def error_response(scope: Scope, error: ApiError) -> Response:
    """Status, body and headers of `error`."""
    request_id = scope["state"]["request_id"]
    body = error.anthropic_body(request_id) if is_anthropic(scope["path"]) else error.openai_body()
    return Response(sse.to_json(body), error.kind.status, error.headers, "application/json")
