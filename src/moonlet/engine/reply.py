"""A turn of the assistant as it is made: tokens to events, stop strings, and the finished reply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from moonlet.chat.events import ContentDelta, Event, ReasoningDelta, ToolCallArguments, ToolCallStart
from moonlet.chat.messages import ToolCall
from moonlet.chat.parser import OutputParser
from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.generation import Generation
from moonlet.engine.request import GeneratedToken
from moonlet.engine.result import FinishReason, Reply
from moonlet.engine.stop_strings import StopStrings
from moonlet.engine.stream import TokenStream


class ReplyStream(TokenStream[Event, Reply]):
    """Yields the parser's events in its order.

    Stop strings are matched in the answer alone: a stop of one newline would otherwise end the thinking at its first
    line. Text that may become a stop string is delivered once it cannot, or once the answer is interrupted by a call.
    """

    def __init__(
        self,
        generation: Generation,
        tokenizer: Tokenizer,
        parser: OutputParser,
        stop: tuple[str, ...],
        *,
        thinking: bool,
        remember: Callable[[Sequence[int], Sequence[ToolCall]], None],
    ) -> None:
        """thinking: whether the prompt ends inside an open `<think>`.  remember: told everything emitted
        and the calls in it, once."""
        super().__init__(generation, tokenizer)
        self._parser = parser
        self._stop_strings = StopStrings(stop)
        self._is_reasoning = thinking
        self._remember = remember
        self._reasoning_tokens = 0
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _OpenCall] = {}

    @property
    def reply(self) -> Reply:
        """The whole, once the stream has ended or was closed."""
        return self.result

    def _advance(self, token: GeneratedToken) -> Iterator[Event]:
        if token.is_stop:
            return
        if token.token_id == self._tokenizer.end_think_id:
            self._is_reasoning = False
        elif self._is_reasoning:
            self._reasoning_tokens += 1
        yield from self._pass(self._parser.push(token.token_id))

    def _end(self) -> Iterator[Event]:
        yield from self._pass(self._parser.finish())
        yield from self._content_of(self._stop_strings.flush())

    def _pass(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if self._stop_strings.matched is not None:
                return
            yield from self._pass_one(event)

    def _pass_one(self, event: Event) -> Iterator[Event]:
        if isinstance(event, ContentDelta):
            self._is_reasoning = False
            text = self._stop_strings.push(event.text)
            if self._stop_strings.matched is not None:
                self._generation.finish("stop")
            yield from self._content_of(text)
            return
        yield from self._content_of(self._stop_strings.flush())
        self._is_reasoning = isinstance(event, ReasoningDelta)
        match event:
            case ReasoningDelta():
                self._reasoning.append(event.text)
            case ToolCallStart():
                self._calls[event.index] = _OpenCall(event.id, event.name)
            case ToolCallArguments():
                self._calls[event.index].arguments.append(event.text)
        yield event

    def _content_of(self, text: str) -> Iterator[Event]:
        if text:
            self._content.append(text)
            yield ContentDelta(text)

    def _finished(self) -> Reply:
        calls = tuple(call.finished() for _, call in sorted(self._calls.items()))
        self._remember(self._generation.output_ids, calls)
        return Reply(
            content="".join(self._content),
            reasoning="".join(self._reasoning),
            tool_calls=calls,
            finish_reason=self._final_reason,
            usage=self._usage(self._reasoning_tokens),
            timings=self._generation.timings(),
            token_ids=tuple(self._generation.output_ids),
            logprobs=self._all_logprobs,
            seed=self.seed,
            stop_string=self._stop_strings.matched,
        )

    @property
    def _final_reason(self) -> FinishReason:
        reason = self._finish_reason
        return "tool_calls" if reason == "stop" and self._calls else reason


@dataclass(slots=True)
class _OpenCall:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    def finished(self) -> ToolCall:
        return ToolCall(self.id, self.name, "".join(self.arguments))
