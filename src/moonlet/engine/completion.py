"""A raw completion: text follows text, no roles, no thinking."""

from __future__ import annotations

from collections.abc import Iterator

from moonlet.chat.detokenizer import Detokenizer
from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.generation import Generation
from moonlet.engine.request import GeneratedToken
from moonlet.engine.result import Completion
from moonlet.engine.stop_strings import StopStrings
from moonlet.engine.stream import TokenStream


class CompletionStream(TokenStream[str, Completion]):
    """Yields pieces of text, whole characters each; stop strings are matched in all of it."""

    def __init__(self, generation: Generation, tokenizer: Tokenizer, stop: tuple[str, ...]) -> None:
        super().__init__(generation, tokenizer)
        self._detokenizer = Detokenizer(tokenizer)
        self._stop_strings = StopStrings(stop)
        self._pieces: list[str] = []

    @property
    def completion(self) -> Completion:
        """The whole, once the stream has ended or was closed."""
        return self.result

    def _advance(self, token: GeneratedToken) -> Iterator[str]:
        if not token.is_stop:
            yield from self._filtered(self._detokenizer.push(token.token_id))

    def _end(self) -> Iterator[str]:
        yield from self._filtered(self._detokenizer.flush())
        yield from self._kept(self._stop_strings.flush())

    def _filtered(self, text: str) -> Iterator[str]:
        passed = self._stop_strings.push(text)
        if self._stop_strings.matched is not None:
            self._generation.finish("stop")
        yield from self._kept(passed)

    def _kept(self, text: str) -> Iterator[str]:
        if text:
            self._pieces.append(text)
            yield text

    def _finished(self) -> Completion:
        return Completion(
            text="".join(self._pieces),
            finish_reason=self._finish_reason,
            usage=self._usage(reasoning_tokens=0),
            timings=self._generation.timings(),
            token_ids=tuple(self._generation.output_ids),
            logprobs=self._all_logprobs,
            seed=self.seed,
            stop_string=self._stop_strings.matched,
            prompt_logprobs=tuple(self.prompt_logprobs),
        )
