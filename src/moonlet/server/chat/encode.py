"""Events of a reply to a chat completion, whole or as chunks.

One kind of key a chunk, and a key that has nothing to say is absent: some clients take an empty string in the wrong
place for the end of a call. Calls come one after another, numbered from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from moonlet.chat.events import ContentDelta, Event, ReasoningDelta, ToolCallArguments, ToolCallEnd, ToolCallStart
from moonlet.engine.result import Reply, Timings, TokenLogprob, Usage
from moonlet.server import sse
from moonlet.server.errors import ApiError
from moonlet.server.job import Job
from moonlet.server.reply_view import complete_calls, new_id, shown_reason


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is the same in every part of one answer."""

    id: str
    created: int
    model: str
    fingerprint: str

    @classmethod
    def new(cls, created: int, model: str, fingerprint: str) -> Envelope:
        """An answer of its own."""
        return cls(new_id("chatcmpl-"), created, model, fingerprint)

    def fields(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def whole(reply: Reply, job: Job, thinks: bool, envelope: Envelope, *, both_fields: bool) -> dict[str, Any]:
    """The body of a reply that was not streamed. thinks: whether the prompt let it think."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.content}
    if thinks:
        message["reasoning_content"] = reply.reasoning
        if both_fields:
            message["reasoning"] = reply.reasoning
    calls = complete_calls(reply)
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": shown_reason(reply),
        "logprobs": None if reply.logprobs is None else logprobs_field(reply.logprobs),
    }
    body = {**envelope.fields("chat.completion"), "choices": [choice], "usage": usage_field(reply.usage)}
    if job.wants_timings:
        body["timings"] = timings_field(reply.timings)
    return body


class ChunkEncoder:
    """The chunks of one stream, in their order: `start`, `push` for each event, then `finish` or `fail`."""

    def __init__(self, job: Job, thinks: bool, envelope: Envelope, *, both_fields: bool) -> None:
        """thinks: whether the reply begins as reasoning."""
        self._job = job
        self._envelope = envelope
        self._both_fields = both_fields
        self._awaits_reasoning = thinks
        self._num_logprobs = 0

    def start(self) -> Iterator[bytes]:
        """The role, before anything is known."""
        yield self._chunk({"role": "assistant", "content": ""})

    def push(self, event: Event, logprobs: Sequence[TokenLogprob]) -> Iterator[bytes]:
        """What `event` brings. logprobs: of all tokens so far, if asked for."""
        if self._awaits_reasoning and not isinstance(event, ReasoningDelta):
            # Clients tell a reply that thought nothing from one that cannot think.
            yield self._chunk(self._reasoning(""))
        self._awaits_reasoning = False
        fresh = logprobs[self._num_logprobs :]
        self._num_logprobs = len(logprobs)
        match event:
            case ReasoningDelta(text):
                yield self._chunk(self._reasoning(text), fresh)
            case ContentDelta(text):
                yield self._chunk({"content": text}, fresh)
            case ToolCallStart(index, call_id, name):
                function = {"name": name, "arguments": ""}
                call = {"index": index, "id": call_id, "type": "function", "function": function}
                yield self._chunk({"tool_calls": [call]}, fresh)
            case ToolCallArguments(index, text):
                yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": text}}]}, fresh)
            case ToolCallEnd():
                # Nothing to say; its tokens are reported with the next chunk.
                self._num_logprobs -= len(fresh)

    def finish(self, reply: Reply) -> Iterator[bytes]:
        """The end: reason and usage, then what clients wait for."""
        if self._awaits_reasoning:
            yield self._chunk(self._reasoning(""))
        fresh = (reply.logprobs or ())[self._num_logprobs :]
        usage = usage_field(reply.usage)
        choice = {**self._choice({}, fresh), "finish_reason": shown_reason(reply), "usage": usage}
        last = {**self._envelope.fields("chat.completion.chunk"), "choices": [choice]}
        if self._job.wants_timings:
            last["timings"] = timings_field(reply.timings)
        yield sse.data(last)
        if self._job.include_usage:
            yield sse.data({**self._envelope.fields("chat.completion.chunk"), "choices": [], "usage": usage})
        yield sse.DONE

    def fail(self, error: ApiError) -> Iterator[bytes]:
        """An end that clients notice: no [DONE] follows."""
        yield sse.data(error.openai_body())

    def keep_alive(self) -> bytes:
        """A sign of life."""
        return sse.COMMENT

    def _reasoning(self, text: str) -> dict[str, Any]:
        delta = {"reasoning_content": text}
        return {**delta, "reasoning": text} if self._both_fields else delta

    def _choice(self, delta: dict[str, Any], logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": None}
        if logprobs:
            choice["logprobs"] = logprobs_field(logprobs)
        return choice

    def _chunk(self, delta: dict[str, Any], logprobs: Sequence[TokenLogprob] = ()) -> bytes:
        choices = [self._choice(delta, logprobs)]
        return sse.data({**self._envelope.fields("chat.completion.chunk"), "choices": choices})


def usage_field(usage: Usage) -> dict[str, Any]:
    """Token counts under the names of both OpenAI and Moonshot."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cached_tokens": usage.cached_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def timings_field(timings: Timings) -> dict[str, Any]:
    """Milliseconds and rates, under llama-server's names."""
    ttft_s = timings.ttft_s
    return {
        "prompt_ms": None if ttft_s is None else ttft_s * 1000,
        "prompt_per_second": timings.prefill_tokens_per_s,
        "predicted_ms": None if ttft_s is None else (timings.total_s - ttft_s) * 1000,
        "predicted_per_second": timings.decode_tokens_per_s,
    }


def logprobs_field(logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Every token sampled, reasoning and markers included, as `completion_tokens` counts them."""
    return {"content": [_one_logprob(item) for item in logprobs], "refusal": None}


def _one_logprob(item: TokenLogprob) -> dict[str, Any]:
    top = [_token(other.token_bytes, other.logprob) for other in item.top]
    return {**_token(item.token_bytes, item.logprob), "top_logprobs": top}


def _token(token_bytes: bytes, logprob: float) -> dict[str, Any]:
    return {"token": token_bytes.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(token_bytes)}
