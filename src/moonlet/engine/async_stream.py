"""A reply for a coroutine to read while it is being made."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self, TypeVar

from moonlet.engine.request import Output
from moonlet.engine.result import Completion, Reply, TokenLogprob
from moonlet.engine.stream import TokenStream

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT", bound=Completion | Reply)


class AsyncStream(Generic[ItemT, ResultT]):
    """Asynchronous iterator over the items of one reply, best in an `async with` block: leaving it ends the reply.

    The request is queued when this is constructed, and the engine does not wait for its reader. Giving up a read, as a
    time limit around `anext` does, loses nothing. `cancel` may be called from anywhere; the reply then ends within one
    forward pass, with everything made so far delivered.
    """

    def __init__(self, stream: TokenStream[ItemT, ResultT]) -> None:
        """stream: one that nobody reads. Needs a running event loop. Raises QueueFullError or EngineClosedError."""
        self._stream = stream
        self._ready: deque[ItemT] = deque()
        self._outputs: asyncio.Queue[Output] = asyncio.Queue()
        loop, outputs = asyncio.get_running_loop(), self._outputs

        def deliver(output: Output) -> None:
            # The loop may be gone before the reply; then nobody is left to read it.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(outputs.put_nowait, output)

        stream.submit(deliver)

    def __del__(self) -> None:
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ItemT:
        while not self._ready:
            if self._stream.is_settled:
                raise StopAsyncIteration
            self._ready.extend(self._stream.take(await self._outputs.get()))
        return self._ready.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def seed(self) -> int:
        """The seed used, given or drawn: with it the same request gives the same reply."""
        return self._stream.seed

    @property
    def num_prompt_tokens(self) -> int:
        return self._stream.num_prompt_tokens

    @property
    def num_cached_tokens(self) -> int:
        """Prompt tokens found in the cache; final once the first item is there."""
        return self._stream.num_cached_tokens

    @property
    def logprobs(self) -> Sequence[TokenLogprob]:
        """Of the tokens sampled so far, where they were asked for."""
        return self._stream.logprobs

    @property
    def prompt_logprobs(self) -> Sequence[TokenLogprob]:
        """Of the prompt tokens but the first, where they were asked for; all of them once the first item is there."""
        return self._stream.prompt_logprobs

    @property
    def result(self) -> ResultT:
        """The finished value. Raises MoonletError while the reply is still being made."""
        return self._stream.result

    def cancel(self) -> None:
        """Ask for the end. Returns at once."""
        self._stream.cancel()

    async def aclose(self) -> None:
        """End now; the cache pages come back after the forward pass in hand. What was read so far is in `result`."""
        self._stream.close()
