"""The engine of this process behind the server's face."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from moonlet.chat.events import Event
from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.async_stream import AsyncStream
from moonlet.engine.dialect import PreparedTurn
from moonlet.engine.engine import Engine
from moonlet.engine.params import SamplingParams
from moonlet.engine.result import Completion, Reply
from moonlet.engine.stats import EngineStats
from moonlet.engine.turn import Turn
from moonlet.media.limits import MediaLimits
from moonlet.media.options import MediaOptions
from moonlet.server.engine_face import ModelFacts

# Parts hold data: URLs by now; a path in one would let a client read this machine's disk. The formats are those of the
# published API: decoders of rarer ones meet strangers' bytes too seldom to be trusted with them.
_MEDIA = MediaOptions(
    allow_files=False,
    limits=MediaLimits(max_image_pixels=64_000_000, image_formats=("PNG", "JPEG", "GIF", "WEBP")),
)


class LocalEngine:
    """`engine` for the server. What takes long runs in threads: rendering, compiling grammars, opening streams."""

    def __init__(self, engine: Engine, facts: ModelFacts) -> None:
        self._engine = engine
        self.facts = facts

    @property
    def tokenizer(self) -> Tokenizer:
        return self._engine.tokenizer

    @property
    def context_length(self) -> int:
        return self._engine.context_length

    def default_sampling(self, thinking: bool) -> SamplingParams:
        return self._engine.default_sampling(thinking)

    async def prepare(self, turn: Turn) -> PreparedTurn:
        return await asyncio.to_thread(self._engine.prepare, turn, _MEDIA)

    async def stream_turn(self, prepared: PreparedTurn) -> AsyncStream[Event, Reply]:
        return AsyncStream(await asyncio.to_thread(self._engine.stream_turn, prepared))

    async def stream_generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams
    ) -> AsyncStream[str, Completion]:
        return AsyncStream(await asyncio.to_thread(self._engine.stream_generate, list(prompt_ids), sampling))

    def stats(self) -> EngineStats:
        return self._engine.stats()

    async def close(self) -> None:
        await asyncio.to_thread(self._engine.close)
