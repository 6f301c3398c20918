"""A reply for a coroutine to read while it is being made."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Generic, Self, TypeVar

from moonlet.engine.result import Completion, Reply
from moonlet.engine.stream import TokenStream

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT", bound=Completion | Reply)


class AsyncStream(Generic[ItemT, ResultT]):
    """Asynchronous iterator over the items of one reply, best in an `async with` block: leaving it ends the reply.

    `cancel` may be called from anywhere; the reply then ends within one forward pass, with everything made so far
    delivered. A reader that is itself cancelled cancels the reply.
    """

    def __init__(self, stream: TokenStream[ItemT, ResultT]) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ItemT:
        try:
            item, is_last = await asyncio.to_thread(self._next)
        except asyncio.CancelledError:
            self.cancel()
            raise
        if is_last or item is None:
            raise StopAsyncIteration
        return item

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
    def result(self) -> ResultT:
        """The finished value. Raises MoonletError while the reply is still being made."""
        return self._stream.result

    def cancel(self) -> None:
        """Ask for the end. Returns at once."""
        self._stream.cancel()

    async def aclose(self) -> None:
        """End now and give up the cache pages; what was made so far is in `result`."""
        self.cancel()
        await asyncio.to_thread(self._stream.close)

    def _next(self) -> tuple[ItemT | None, bool]:
        try:
            return next(self._stream), False
        except StopIteration:
            return None, True
