"""POST /v1/messages and /v1/messages/count_tokens, also under /anthropic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from moonlet.engine.result import Reply
from moonlet.server.answer import Opening, answer, prepare_any_length
from moonlet.server.context import Context
from moonlet.server.endpoint import EVENTS, JSON, Endpoint, json_answer, read
from moonlet.server.messages.encode import MessageEncoder, whole
from moonlet.server.messages.parse import parse_messages_body
from moonlet.server.messages.schema import MessagesBody
from moonlet.server.reply_view import new_id

MAX_MODEL_CHARS = 256


async def messages(context: Context, request: Request) -> Response:
    """The next turn of a conversation."""
    body = await read(context, request, MessagesBody)
    context.check_model(body.model)
    job = parse_messages_body(body, context.rules())
    # Claude Code sends the thinking of a reply back only if the reply bears the model's name as it was asked for.
    name = body.model if body.model and len(body.model) <= MAX_MODEL_CHARS else context.model_name
    wire = _MessagesWire(new_id("msg_"), name, request.state.request_id)
    return await answer(context, request, job, wire)


async def count_tokens(context: Context, request: Request) -> Response:
    """How many tokens a request feeds."""
    body = await read(context, request, MessagesBody)
    context.check_model(body.model)
    prepared = await prepare_any_length(context, parse_messages_body(body, context.rules()).turn)
    return json_answer({"input_tokens": prepared.num_prompt_tokens})


@dataclass(frozen=True, slots=True)
class _MessagesWire:
    message_id: str
    model: str
    request_id: str

    def encoder(self, opening: Opening) -> MessageEncoder:
        return MessageEncoder(self.message_id, self.model, opening.num_prompt_tokens, self.request_id)

    def whole(self, reply: Reply, opening: Opening) -> dict[str, Any]:  # noqa: ARG002
        return whole(reply, self.message_id, self.model)


ENDPOINTS = tuple(
    Endpoint("POST", prefix + path, handler, summary, MessagesBody, gives=gives)
    for prefix in ("", "/anthropic")
    for path, handler, summary, gives in (
        ("/v1/messages", messages, "The next turn of a conversation (Anthropic).", (JSON, EVENTS)),
        ("/v1/messages/count_tokens", count_tokens, "How many tokens a request feeds.", (JSON,)),
    )
)
