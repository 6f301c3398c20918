"""A job to an HTTP answer, the same for every API: run the turn, encode what comes, see to it that it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from moonlet.chat.events import Event
from moonlet.engine.dialect import PreparedTurn
from moonlet.engine.result import Completion, Reply, TokenLogprob
from moonlet.engine.turn import Turn
from moonlet.server import sse
from moonlet.server.conduct import unless_disconnected, with_signs_of_life
from moonlet.server.context import Context
from moonlet.server.engine_face import ItemStream
from moonlet.server.errors import INTERNAL, TIMED_OUT, ApiError
from moonlet.server.job import Job
from moonlet.server.media_sources import resolve_media

logger = logging.getLogger(__name__)


class StreamEncoder(Protocol):
    """The events of one reply as one API's stream: `start`, `push` for each, then `finish` or `fail`."""

    def start(self) -> Iterator[bytes]: ...

    def push(self, event: Event, logprobs: Sequence[TokenLogprob]) -> Iterator[bytes]: ...

    def finish(self, reply: Reply) -> Iterator[bytes]: ...

    def fail(self, error: ApiError) -> Iterator[bytes]: ...

    def keep_alive(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known when the request has been admitted. thinks: whether the reply begins as reasoning."""

    num_prompt_tokens: int
    thinks: bool


class Wire(Protocol):
    """One API's way to answer one request."""

    def encoder(self, opening: Opening) -> StreamEncoder: ...

    def whole(self, reply: Reply, opening: Opening) -> dict[str, Any]: ...


async def prepare(context: Context, job: Job) -> PreparedTurn:
    """The turn of `job` ready for the engine. Raises ApiError or UserError for whatever cannot be obeyed."""
    prepared = await prepare_any_length(context, job.turn)
    check_length(context, prepared.num_prompt_tokens, job.prompt_field)
    return prepared


async def prepare_any_length(context: Context, turn: Turn) -> PreparedTurn:
    """As `prepare`, for counting and looking: the prompt may be longer than can be run."""
    engine = context.engine
    messages = await resolve_media(turn.messages, context)
    return await engine.prepare(replace(turn, messages=messages))


def check_length(context: Context, num_tokens: int, prompt_field: str) -> None:
    """Raises ApiError for a prompt that leaves no room for one token, or is over the server's own limit.

    prompt_field: of the body, which the error names.
    """
    limit = context.engine.context_length
    if context.options.max_prompt_tokens is not None:
        limit = min(limit, context.options.max_prompt_tokens + 1)
    if num_tokens >= limit:
        raise ApiError.overflow(num_tokens, limit, prompt_field)


async def answer(context: Context, request: Request, job: Job, wire: Wire) -> Response:
    """Run `job` and answer in the form of `wire`. Raises ApiError or UserError before anything is sent."""
    prepared = await prepare(context, job)
    opening = Opening(prepared.num_prompt_tokens, prepared.prompt.opens_thinking)
    stream = await context.engine.stream_turn(prepared)
    if job.stream:
        return EventStream(_TurnRun(context, request, stream, wire.encoder(opening)))
    try:
        reply = await unless_disconnected(request.receive, _to_end(stream, context.options.request_timeout_s))
    finally:
        await stream.aclose()
    settle(context, request, reply)
    return Response(sse.to_json(wire.whole(reply, opening)), media_type="application/json")


async def _to_end(stream: ItemStream[Event, Reply], timeout_s: float) -> Reply:
    try:
        async with asyncio.timeout(timeout_s):
            async for _ in stream:
                pass
    except TimeoutError:
        raise timed_out(timeout_s) from None
    return stream.result


def timed_out(timeout_s: float) -> ApiError:
    return ApiError(TIMED_OUT, f"the reply was not finished within {timeout_s:g} seconds")


def settle(context: Context, request: Request, result: Reply | Completion) -> None:
    """Note what a finished reply was and cost."""
    context.metrics.finished(result.usage, result.timings)
    request.state.usage = result.usage
    request.state.finish_reason = result.finish_reason


class Run(Protocol):
    """A reply that can be sent piece by piece."""

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """Everything to send, a failure on the way included."""
        ...

    async def aclose(self) -> None:
        """End what still runs."""
        ...


class EventStream(Response):
    """Server-sent events. Status and headers go out at once; what fails after that is told inside the stream."""

    media_type = "text/event-stream"

    def __init__(self, run: Run) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        try:
            await unless_disconnected(receive, self._send(send))
        finally:
            await self._run.aclose()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._run.pieces()) as pieces:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _TurnRun:
    """A streamed turn."""

    def __init__(
        self, context: Context, request: Request, stream: ItemStream[Event, Reply], encoder: StreamEncoder
    ) -> None:
        self._context = context
        self._request = request
        self._stream = stream
        self._encoder = encoder

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The whole stream, a failure in it included."""
        encoder, options = self._encoder, self._context.options
        for piece in encoder.start():
            yield piece
        try:
            async with asyncio.timeout(options.request_timeout_s):
                async with aclosing(with_signs_of_life(aiter(self._stream), options.keep_alive_s)) as events:
                    async for event in events:
                        if event is None:
                            yield encoder.keep_alive()
                            continue
                        pieces = b"".join(encoder.push(event, self._stream.logprobs))
                        if pieces:
                            yield pieces
        except TimeoutError:
            for piece in encoder.fail(timed_out(options.request_timeout_s)):
                yield piece
        except Exception as error:
            for piece in encoder.fail(explained(error)):
                yield piece
        else:
            settle(self._context, self._request, self._stream.result)
            yield b"".join(encoder.finish(self._stream.result))

    async def aclose(self) -> None:
        """End the reply."""
        await self._stream.aclose()


def explained(error: Exception) -> ApiError:
    """What the client is told; the log gets what it must not see."""
    api_error = ApiError.of(error)
    if api_error.kind is INTERNAL:
        logger.error("a reply failed", exc_info=error)
    return api_error
