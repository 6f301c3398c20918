"""POST /v1/completions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from moonlet.engine.result import Completion, TokenLogprob, Usage
from moonlet.server import sse
from moonlet.server.answer import EventStream, check_length, explained, settle, timed_out
from moonlet.server.chat.encode import Envelope, usage_field
from moonlet.server.chat.endpoint import FINGERPRINT
from moonlet.server.completions.encode import LogprobWriter, choice
from moonlet.server.completions.parse import CompletionJob, parse_completion
from moonlet.server.completions.schema import CompletionBody
from moonlet.server.conduct import unless_disconnected, with_signs_of_life
from moonlet.server.context import Context
from moonlet.server.endpoint import EVENTS, JSON, Endpoint, json_answer, read
from moonlet.server.engine_face import ItemStream
from moonlet.server.reply_view import new_id


async def completions(context: Context, request: Request) -> Response:
    """What follows raw prompts."""
    body = await read(context, request, CompletionBody)
    context.check_model(body.model)
    engine = context.engine
    job = parse_completion(body, context.rules(), engine.tokenizer)
    for prompt in job.prompts:
        check_length(context, len(prompt), "prompt")
    envelope = Envelope(new_id("cmpl-"), int(time.time()), context.model_name, FINGERPRINT)
    run = _Run(context, request, job, envelope)
    await run.open()
    if job.stream:
        return EventStream(run)
    try:
        return json_answer(await unless_disconnected(request.receive, run.whole()))
    finally:
        await run.aclose()


@dataclass(slots=True)
class _Run:
    """The prompts of one request. The engine reads them side by side; a stream shows one after another."""

    context: Context
    request: Request
    job: CompletionJob
    envelope: Envelope
    streams: list[ItemStream[str, Completion]] = field(default_factory=list)

    async def open(self) -> None:
        """Queue all of them, or none."""
        try:
            for prompt in self.job.prompts:
                self.streams.append(await self.context.engine.stream_generate(prompt, self.job.sampling))
        except BaseException:
            await self.aclose()
            raise

    async def whole(self) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        timeout_s = self.context.options.request_timeout_s
        try:
            async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
                for stream in self.streams:
                    group.create_task(_to_end(stream))
        except TimeoutError:
            raise timed_out(timeout_s) from None
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        self._settle()
        choices = [self._choice(index, stream.result) for index, stream in enumerate(self.streams)]
        usage = usage_field(self._usage())
        return {**self.envelope.fields("text_completion"), "choices": choices, "usage": usage}

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The stream."""
        options = self.context.options
        try:
            async with asyncio.timeout(options.request_timeout_s):
                for index, stream in enumerate(self.streams):
                    async with aclosing(self._pieces_of(index, stream)) as pieces:
                        async for piece in pieces:
                            yield piece
        except TimeoutError:
            yield sse.data(timed_out(options.request_timeout_s).openai_body())
            return
        except Exception as error:
            yield sse.data(explained(error).openai_body())
            return
        self._settle()
        if self.job.include_usage:
            yield sse.data(self._chunk([], usage_field(self._usage())))
        yield sse.DONE

    async def aclose(self) -> None:
        """End all of them."""
        for stream in self.streams:
            await stream.aclose()

    async def _pieces_of(self, index: int, stream: ItemStream[str, Completion]) -> AsyncGenerator[bytes, None]:
        writer = LogprobWriter()
        num_logprobs = 0
        # What is said of the prompt is known when it is read.
        owes_echo = self.job.echo and self.job.sampling.logprobs is not None
        if self.job.echo and not owes_echo:
            yield self._piece(index, self._echoed(index), None, None)
        interval_s = self.context.options.keep_alive_s
        async with aclosing(with_signs_of_life(aiter(stream), interval_s)) as texts:
            async for text in texts:
                if text is None:
                    yield sse.COMMENT
                    continue
                if owes_echo:
                    yield self._piece(index, self._echoed(index), None, self._prompt_logprobs(index, writer))
                    owes_echo = False
                fresh = stream.logprobs[num_logprobs:]
                num_logprobs += len(fresh)
                yield self._piece(index, text, None, self._logprobs(fresh, writer))
        if owes_echo:
            yield self._piece(index, self._echoed(index), None, self._prompt_logprobs(index, writer))
        rest = (stream.result.logprobs or ())[num_logprobs:]
        yield self._piece(index, "", stream.result.finish_reason, self._logprobs(rest, writer))

    def _piece(self, index: int, text: str, reason: str | None, logprobs: dict[str, Any] | None) -> bytes:
        return sse.data(self._chunk([choice(index, text, reason, logprobs)], None))

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
        return {**self.envelope.fields("text_completion"), "choices": choices, "usage": usage}

    def _choice(self, index: int, completion: Completion) -> dict[str, Any]:
        text = self._echoed(index) + completion.text
        writer = LogprobWriter()
        logprobs = self._logprobs(completion.logprobs or (), writer) if not self.job.echo else None
        if self.job.echo and self.job.sampling.logprobs is not None:
            prompt, following = self._prompt_logprobs(index, writer), writer.field(completion.logprobs or ())
            logprobs = {name: prompt[name] + following[name] for name in prompt}
        return choice(index, text, completion.finish_reason, logprobs)

    def _echoed(self, index: int) -> str:
        """What stands before the text: the prompt, where the client wants it back."""
        return self.context.engine.tokenizer.decode(self.job.prompts[index]) if self.job.echo else ""

    def _logprobs(self, items: Sequence[TokenLogprob], writer: LogprobWriter) -> dict[str, Any] | None:
        return None if self.job.sampling.logprobs is None else writer.field(items)

    def _prompt_logprobs(self, index: int, writer: LogprobWriter) -> dict[str, Any]:
        first = self.context.engine.tokenizer.token_bytes(self.job.prompts[index][0])
        return writer.field(self.streams[index].prompt_logprobs, first=first)

    def _settle(self) -> None:
        for stream in self.streams:
            settle(self.context, self.request, stream.result)
        self.request.state.usage = self._usage()

    def _usage(self) -> Usage:
        usages = [stream.result.usage for stream in self.streams]
        return Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in usages),
            cached_tokens=sum(usage.cached_tokens for usage in usages),
            completion_tokens=sum(usage.completion_tokens for usage in usages),
            reasoning_tokens=0,
        )


async def _to_end(stream: ItemStream[str, Completion]) -> None:
    async for _ in stream:
        pass


ENDPOINTS = (
    Endpoint("POST", "/v1/completions", completions, "What follows raw prompts.", CompletionBody, gives=(JSON, EVENTS)),
)
