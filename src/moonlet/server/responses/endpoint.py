"""POST /v1/responses. Nothing is kept, so there is nothing to get afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from moonlet.engine.result import Reply
from moonlet.server.answer import Opening, answer
from moonlet.server.context import Context
from moonlet.server.endpoint import EVENTS, JSON, Endpoint, read
from moonlet.server.errors import NOT_FOUND, ApiError
from moonlet.server.reply_view import new_id
from moonlet.server.responses.encode import ResponseEncoder, Shell, whole
from moonlet.server.responses.parse import parse_responses
from moonlet.server.responses.schema import ResponsesBody
from moonlet.server.responses.tools import ToolTable


async def responses(context: Context, request: Request) -> Response:
    """The next turn of a conversation."""
    body = await read(context, request, ResponsesBody)
    context.check_model(body.model)
    parsed = parse_responses(body, context.rules())
    sampling = parsed.job.turn.sampling
    echoed = {
        "instructions": body.instructions,
        "tools": body.tools or [],
        "tool_choice": body.tool_choice or "auto",
        "parallel_tool_calls": parsed.job.turn.parallel_tool_calls,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_output_tokens": body.max_output_tokens,
        "previous_response_id": None,
        "store": False,
        "metadata": {},
    }
    shell = Shell(new_id("resp_"), int(time.time()), context.model_name, echoed)
    return await answer(context, request, parsed.job, _ResponsesWire(shell, parsed.table))


async def not_kept(context: Context, request: Request) -> Response:  # noqa: ARG001
    """No response is found again."""
    raise ApiError(NOT_FOUND, "responses are not kept here")


@dataclass(frozen=True, slots=True)
class _ResponsesWire:
    shell: Shell
    table: ToolTable

    def encoder(self, opening: Opening) -> ResponseEncoder:  # noqa: ARG002
        return ResponseEncoder(self.shell, self.table)

    def whole(self, reply: Reply, opening: Opening) -> dict[str, Any]:  # noqa: ARG002
        return whole(self.shell, reply, self.table)


ENDPOINTS = (
    Endpoint(
        *("POST", "/v1/responses", responses, "The next turn of a conversation (Responses).", ResponsesBody),
        gives=(JSON, EVENTS),
    ),
    Endpoint("GET", "/v1/responses/{response_id}", not_kept, "Always 404: responses are not kept.", gives=()),
)
