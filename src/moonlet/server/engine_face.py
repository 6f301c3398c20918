"""What the server needs of an engine: the seam at which tests put a scripted one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from moonlet.chat.events import Event
from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.dialect import PreparedTurn
from moonlet.engine.params import SamplingParams
from moonlet.engine.result import Completion, Reply, TokenLogprob
from moonlet.engine.stats import EngineStats
from moonlet.engine.turn import Turn

ItemT_co = TypeVar("ItemT_co", covariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True)


class ItemStream(Protocol[ItemT_co, ResultT_co]):
    """A reply while it is being made. Whoever opened it closes it, which ends it if it still runs."""

    def __aiter__(self) -> AsyncIterator[ItemT_co]:
        """A read that is given up, as by a time limit around it, loses nothing."""
        ...

    async def aclose(self) -> None:
        """End now and give up what the reply holds."""
        ...

    @property
    def num_prompt_tokens(self) -> int: ...

    @property
    def logprobs(self) -> Sequence[TokenLogprob]:
        """Of the tokens sampled so far, where they were asked for."""
        ...

    @property
    def prompt_logprobs(self) -> Sequence[TokenLogprob]:
        """Of the prompt tokens but the first, where they were asked for; all of them once the first item is there."""
        ...

    @property
    def result(self) -> ResultT_co:
        """The finished value, once the stream has ended."""
        ...


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What clients are told about the model."""

    name: str
    created: int
    supports_images: bool
    supports_video: bool
    chat_template: str


class EngineFace(Protocol):
    """One loaded model. Coroutines do not block the event loop; the rest is quick."""

    @property
    def facts(self) -> ModelFacts: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and reply together."""
        ...

    def default_sampling(self, thinking: bool) -> SamplingParams:
        """What applies where a request says nothing."""
        ...

    async def prepare(self, turn: Turn) -> PreparedTurn:
        """`turn` checked, rendered and compiled. Raises UserError."""
        ...

    async def stream_turn(self, prepared: PreparedTurn) -> ItemStream[Event, Reply]:
        """Queue `prepared`. Raises UserError, or QueueFullError."""
        ...

    async def stream_generate(self, prompt_ids: Sequence[int], sampling: SamplingParams) -> ItemStream[str, Completion]:
        """Queue a raw prompt. Raises UserError, or QueueFullError."""
        ...

    def stats(self) -> EngineStats:
        """This moment."""
        ...

    async def close(self) -> None:
        """End every open reply with EngineClosedError, and keep what is to be kept. Nothing on a second call."""
        ...
