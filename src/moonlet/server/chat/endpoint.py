"""POST /v1/chat/completions."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from moonlet import __version__
from moonlet.engine.result import Reply
from moonlet.server.answer import Opening, answer
from moonlet.server.chat.encode import ChunkEncoder, Envelope, whole
from moonlet.server.chat.parse import parse_chat
from moonlet.server.chat.schema import ChatBody
from moonlet.server.context import Context
from moonlet.server.endpoint import EVENTS, JSON, Endpoint, read
from moonlet.server.job import Job

FINGERPRINT = f"moonlet-{__version__}"


async def chat_completions(context: Context, request: Request) -> Response:
    """The next turn of a conversation."""
    body = await read(context, request, ChatBody)
    context.check_model(body.model)
    job = parse_chat(body, context.rules())
    envelope = Envelope.new(int(time.time()), context.model_name, FINGERPRINT)
    return await answer(context, request, job, _ChatWire(job, envelope, context.options.reasoning_field == "both"))


@dataclass(frozen=True, slots=True)
class _ChatWire:
    job: Job
    envelope: Envelope
    both_fields: bool

    def encoder(self, opening: Opening) -> ChunkEncoder:
        return ChunkEncoder(self.job, opening.thinks, self.envelope, both_fields=self.both_fields)

    def whole(self, reply: Reply, opening: Opening) -> dict[str, Any]:
        return whole(reply, self.job, opening.thinks, self.envelope, both_fields=self.both_fields)


ENDPOINTS = (
    Endpoint(
        *("POST", "/v1/chat/completions", chat_completions, "The next turn of a conversation.", ChatBody),
        gives=(JSON, EVENTS),
    ),
)
