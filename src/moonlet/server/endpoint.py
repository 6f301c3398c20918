"""What all endpoints do with a request before they read its meaning, and how they are listed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from moonlet.server import sse
from moonlet.server.body import check_content_type, parse_json, read_body, validate
from moonlet.server.context import Context

BodyT = TypeVar("BodyT", bound=BaseModel)
JSON, EVENTS, TEXT, FORM = "application/json", "text/event-stream", "text/plain", "multipart/form-data"
Handler = Callable[[Context, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path, what answers it and, for /openapi.json, what it takes and gives.

    gives: the content types of a good answer; none where there is no good answer.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    body: type[BaseModel] | None = None
    body_type: str = JSON
    gives: tuple[str, ...] = (JSON,)


async def read(context: Context, request: Request, model: type[BodyT]) -> BodyT:
    """The body of `request` as `model`. Raises ApiError."""
    check_content_type(request)
    options = context.options
    content = await read_body(request, options.max_body_mib << 20, options.body_timeout_s)
    path = request.url.path
    return validate(parse_json(content), model, lambda name: context.note_unknown(path, name))


def json_answer(value: Any, status: int = 200) -> Response:
    """A JSON body."""
    return Response(sse.to_json(value), status, media_type=JSON)
