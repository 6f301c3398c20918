"""What a finished reply is: text, tokens, why it ended, what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from moonlet.chat.messages import ToolCall

FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]
"""stop: the model ended its turn, or a stop string or id came.  length: max_tokens or the context is used up.
tool_calls: the model ended its turn with calls.  cancelled: the caller did."""


@dataclass(frozen=True, slots=True)
class TopLogprob:
    """One of the most probable tokens at a place."""

    token_id: int
    token_bytes: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A chosen token and its log-probability (natural logarithm) in the model's own distribution."""

    token_id: int
    token_bytes: bytes
    logprob: float
    top: tuple[TopLogprob, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. cached_tokens are part of prompt_tokens, reasoning_tokens part of completion_tokens.

    completion_tokens counts everything sampled, the token that ended the reply included.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time went. None where there was nothing to time.

    ttft_s: seconds from the call to the first token.  prefill_tokens_per_s: prompt tokens computed (not found in the
    cache) a second.  decode_tokens_per_s: tokens after the first a second.
    """

    ttft_s: float | None
    prefill_tokens_per_s: float | None
    decode_tokens_per_s: float | None
    total_s: float


@dataclass(frozen=True, slots=True)
class Completion:
    """What followed a raw prompt. `seed` is the one used, given or drawn; `stop_string` the one that ended it.

    prompt_logprobs: of the prompt tokens but the first, which follows nothing; empty if not asked for.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] | None
    seed: int
    stop_string: str | None = None
    prompt_logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """One turn of the assistant. `seed` is the one used, given or drawn; `stop_string` the one that ended it."""

    content: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] | None
    seed: int
    stop_string: str | None = None

    def to_message(self) -> dict[str, Any]:
        """This turn as the history of the next `chat` call takes it."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        return message
