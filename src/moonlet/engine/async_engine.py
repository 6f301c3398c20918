"""The engine for coroutines: what a server talks to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from moonlet.chat.events import Event
from moonlet.chat.messages import Message
from moonlet.engine.async_stream import AsyncStream
from moonlet.engine.constraint import TokenConstraint
from moonlet.engine.engine import Engine
from moonlet.engine.params import SamplingParams
from moonlet.engine.result import Completion, Reply
from moonlet.engine.stats import EngineStats
from moonlet.media.options import MediaOptions


class AsyncEngine:
    """`engine` for coroutines; both faces share its model, its pages and its queue, and may be used side by side.

    async with await engine.stream_chat(messages) as stream:
        async for event in stream:
            ...
        print(stream.result.usage)
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def stream_chat(
        self,
        messages: Sequence[Mapping[str, Any] | Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        thinking: bool = True,
        tool_choice: str | Mapping[str, Any] | None = None,
        response_format: Mapping[str, Any] | None = None,
        sampling: SamplingParams | None = None,
        media: MediaOptions | None = None,
    ) -> AsyncStream[Event, Reply]:
        """The next turn of a conversation. Arguments and errors as in `Engine.stream_chat`.

        Awaiting it renders and checks the prompt, in another thread since that may take long, and queues the request:
        whoever has the stream knows that it will be obeyed. Raises QueueFullError and EngineClosedError as well.
        """
        open_stream = partial(
            self.engine.stream_chat,
            messages,
            tools=tools,
            thinking=thinking,
            tool_choice=tool_choice,
            response_format=response_format,
            sampling=sampling,
            media=media,
        )
        return AsyncStream(await asyncio.to_thread(open_stream))

    async def stream_generate(
        self,
        prompt: str | Sequence[int],
        sampling: SamplingParams | None = None,
        *,
        constraint: TokenConstraint | None = None,
    ) -> AsyncStream[str, Completion]:
        """What follows a raw prompt. Arguments and errors as in `Engine.stream_generate`, checked before it returns."""
        open_stream = partial(self.engine.stream_generate, prompt, sampling, constraint=constraint)
        return AsyncStream(await asyncio.to_thread(open_stream))

    def stats(self) -> EngineStats:
        """What the engine is doing and has done."""
        return self.engine.stats()

    async def close(self) -> None:
        """End every open reply with EngineClosedError, after the forward pass in hand; nothing is taken any more."""
        await asyncio.to_thread(self.engine.close)
