"""A reply while it is being made: an iterator that can be cancelled, and the finished value after it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from threading import RLock
from types import TracebackType
from typing import Generic, Self, TypeVar

from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.generation import Generation
from moonlet.engine.request import Deliver, GeneratedToken, Output
from moonlet.engine.result import Completion, FinishReason, Reply, TokenLogprob, TopLogprob, Usage
from moonlet.engine.sampler import TokenLogprobs
from moonlet.errors import MoonletError

logger = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT", bound=Completion | Reply)


class TokenStream(ABC, Generic[ItemT, ResultT]):
    """Items of one reply, made as they are asked for; the model works only inside `next`.

    Use it as an iterator, best in a `with` block: leaving the block closes it. `cancel` may be called from any thread
    and from a signal handler; the iterator then ends within one forward pass, with everything made so far delivered.
    """

    def __init__(self, generation: Generation, tokenizer: Tokenizer) -> None:
        self._generation = generation
        self._tokenizer = tokenizer
        self._logprobs: list[TokenLogprob] | None = [] if generation.wants_logprobs else None
        self._result: ResultT | None = None
        self._items = self._run()
        self._lock = RLock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ItemT:
        with self._lock:
            return next(self._items)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def seed(self) -> int:
        """The seed used, given or drawn: with it the same request gives the same reply."""
        return self._generation.seed

    @property
    def num_prompt_tokens(self) -> int:
        return self._generation.num_prompt_tokens

    @property
    def num_cached_tokens(self) -> int:
        """Prompt tokens found in the cache; final once the first item is there."""
        return self._generation.num_cached_tokens

    @property
    def logprobs(self) -> Sequence[TokenLogprob]:
        """Of the tokens sampled so far, where they were asked for. It grows while the stream runs."""
        return self._logprobs or ()

    @property
    def prompt_logprobs(self) -> Sequence[TokenLogprob]:
        """Of the prompt tokens but the first, where they were asked for; all of them once the first item is there."""
        return tuple(self._with_bytes(token_id, scores) for token_id, scores in self._generation.prompt_scores)

    def cancel(self) -> None:
        """Ask for the end. Returns at once."""
        self._generation.cancel()

    def close(self) -> None:
        """End now; the cache pages come back after the forward pass in hand. Waits for another thread's `next`."""
        self.cancel()
        with self._lock:
            self._items.close()
            if self._result is None:
                # Never started, left between two items, or failed: what was made is still worth reading.
                self._generation.finish("cancelled")
                self._settle()

    @property
    def result(self) -> ResultT:
        """The finished value. Raises MoonletError while the stream is still running."""
        if self._result is None:
            raise MoonletError("the reply is not finished: read the stream to its end or close it first")
        return self._result

    def submit(self, deliver: Deliver) -> None:
        """Queue the request without iterating: each output goes to `deliver`, and whoever has it calls `take`."""
        self._generation.submit(deliver)

    def take(self, output: Output) -> list[ItemT]:
        """The items that one output of the engine brings; all that are left with the last. Raises what ended it."""
        token = self._generation.receive(output)
        items: list[ItemT] = []
        if token is not None:
            if self._logprobs is not None and token.logprobs is not None:
                self._logprobs.append(self._with_bytes(token.token_id, token.logprobs))
            items.extend(self._advance(token))
        if self._generation.finish_reason is not None:
            items.extend(self._end())
            self._settle()
        return items

    @property
    def is_settled(self) -> bool:
        """Whether the result is there."""
        return self._result is not None

    def _run(self) -> Generator[ItemT, None, None]:
        with closing(self._generation.outputs()) as outputs:
            for output in outputs:
                yield from self.take(output)

    def _settle(self) -> None:
        result = self._result = self._finished()
        usage, timings = result.usage, result.timings
        logger.info(
            "prompt %d tokens (%d cached), generated %d, ttft %s, %s tokens/s, %s",
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.completion_tokens,
            "-" if timings.ttft_s is None else f"{timings.ttft_s:.3f} s",
            "-" if timings.decode_tokens_per_s is None else f"{timings.decode_tokens_per_s:.1f}",
            result.finish_reason,
        )

    @abstractmethod
    def _advance(self, token: GeneratedToken) -> Iterator[ItemT]:
        """What one more token brings."""

    @abstractmethod
    def _end(self) -> Iterator[ItemT]:
        """What was held back until the end."""

    @abstractmethod
    def _finished(self) -> ResultT:
        """The value of everything made so far."""

    @property
    def _finish_reason(self) -> FinishReason:
        reason = self._generation.finish_reason
        assert reason is not None
        return reason

    def _usage(self, reasoning_tokens: int) -> Usage:
        generation = self._generation
        return Usage(
            prompt_tokens=generation.num_prompt_tokens,
            cached_tokens=generation.num_cached_tokens,
            completion_tokens=len(generation.output_ids),
            reasoning_tokens=reasoning_tokens,
        )

    @property
    def _all_logprobs(self) -> tuple[TokenLogprob, ...] | None:
        return None if self._logprobs is None else tuple(self._logprobs)

    def _with_bytes(self, token_id: int, logprobs: TokenLogprobs) -> TokenLogprob:
        token_bytes = self._tokenizer.token_bytes
        return TokenLogprob(
            token_id=token_id,
            token_bytes=token_bytes(token_id),
            logprob=logprobs.chosen,
            top=tuple(TopLogprob(top_id, token_bytes(top_id), logprob) for top_id, logprob in logprobs.top),
        )
