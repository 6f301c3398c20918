"""How a request is kept company while the model works: signs of life, the client leaving, the time limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client closed the connection; nobody is left to answer."""


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled as soon as the client leaves; then raises ClientGoneError.

    The body of the request must have been read: what `receive` gives next can only be the end of the connection.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGoneError
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def with_signs_of_life(items: AsyncIterator[T], interval_s: float) -> AsyncGenerator[T | None, None]:
    """The items as they come, and None whenever `interval_s` seconds have passed without one.

    items: a read of which may be given up without losing anything.
    """
    while True:
        # Reading under a time limit rather than in a task of its own: an item that is there costs no turn of the loop.
        silence = asyncio.timeout(interval_s)
        try:
            async with silence:
                item = await anext(items)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if not silence.expired():
                raise
            yield None
        else:
            yield item
