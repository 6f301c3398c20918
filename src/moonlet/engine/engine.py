"""The sync face: a loaded model to chat with.

llm = LLM("path/to/checkpoint")
print(llm.chat([{"role": "user", "content": "hi"}]).content)
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from moonlet.chat.messages import Message, parse_messages
from moonlet.chat.parser import OutputParser
from moonlet.chat.template import ChatTemplate
from moonlet.chat.tokenizer import Tokenizer
from moonlet.chat.tools import parse_tools
from moonlet.engine.completion import CompletionStream
from moonlet.engine.constraint import TokenConstraint
from moonlet.engine.generation import Generation, PrefillProgress
from moonlet.engine.language_model import LanguageModel
from moonlet.engine.params import SamplingParams, default_sampling
from moonlet.engine.reply import ReplyStream
from moonlet.engine.result import Completion, Reply
from moonlet.engine.runner import Runner
from moonlet.errors import PromptError


class Engine:
    """A model, its dialect and one pool of cache pages. Replies may be open side by side; their steps take turns.

    Safe to use from threads. `LLM` is this, loaded from a checkpoint.
    """

    int8_loss: float = 0.0
    """Relative change, root mean square, of the weights that were made INT8 while loading."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        *,
        context_length: int,
        chunk_size: int,
        stop_ids: frozenset[int] = frozenset(),
        is_greedy_by_default: bool = False,
    ) -> None:
        """context_length: tokens of prompt and reply together.  chunk_size: prompt tokens a forward pass.

        stop_ids: ends of a turn named by the model's config, beside those of the tokenizer.
        is_greedy_by_default: the model asks for temperature 0 where the caller names none.
        """
        self.tokenizer = tokenizer
        self._template = template
        self._is_greedy_by_default = is_greedy_by_default
        # A head padded beyond the vocabulary has ids without bytes; they are never sampled.
        self._vocab_size = min(model.vocab_size, tokenizer.vocab_size)
        # [EOT] ends a turn for the parser too; going on after it would produce tokens nobody sees.
        end_of_text = tokenizer.special_ids.get("[EOT]")
        self._stop_ids = tokenizer.stop_ids | stop_ids | ({end_of_text} if end_of_text is not None else set())
        self._runner = Runner(model, context_length=context_length, chunk_size=chunk_size)

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and reply together."""
        return self._runner.context_length

    def default_sampling(self, thinking: bool) -> SamplingParams:
        """What is used where the caller says nothing: the published values of the mode, or greedy if the model says so.

        To change a part of it: `dataclasses.replace(llm.default_sampling(True), max_tokens=100)`.
        """
        published = default_sampling(thinking)
        return replace(published, temperature=0.0) if self._is_greedy_by_default else published

    def chat(
        self,
        messages: Sequence[Mapping[str, Any] | Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        thinking: bool = True,
        sampling: SamplingParams | None = None,
    ) -> Reply:
        """The next turn of a conversation, whole. Arguments and errors as in `stream_chat`."""
        with self.stream_chat(messages, tools=tools, thinking=thinking, sampling=sampling) as stream:
            for _ in stream:
                pass
            return stream.reply

    def stream_chat(
        self,
        messages: Sequence[Mapping[str, Any] | Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        thinking: bool = True,
        sampling: SamplingParams | None = None,
        constraint: TokenConstraint | None = None,
        on_prefill: PrefillProgress | None = None,
    ) -> ReplyStream:
        """The next turn of a conversation as a stream of events. Everything is checked before this returns.

        messages: OpenAI-style, earlier turns with their `reasoning_content` and `tool_calls` (`Reply.to_message` makes
            them) and tool results.  tools: OpenAI-style declarations.  thinking: False for instant mode.
        sampling: `default_sampling` of the mode if not given.  constraint: what each token must obey; for this reply.
        Raises PromptError for messages, tools or sampling that cannot be obeyed, ContextLengthError for too many.
        """
        started = time.perf_counter()
        parsed = _parsed(messages)
        prompt = self._template.render(parsed, tools=parse_tools(tools), thinking=thinking)
        if prompt.media:
            raise PromptError("messages: found an image or a video, expected text: this version reads text only")
        sampling = sampling or self.default_sampling(thinking)
        generation = self._generation(list(prompt.ids), sampling, constraint, on_prefill, started)
        earlier_ids = [call.id for message in parsed for call in message.tool_calls]
        parser = OutputParser(
            self.tokenizer,
            thinking=prompt.opens_thinking,
            num_earlier_tool_calls=len(earlier_ids),
            earlier_tool_call_ids=earlier_ids,
        )
        return ReplyStream(generation, self.tokenizer, parser, sampling.stop, thinking=prompt.opens_thinking)

    def generate(self, prompt: str | Sequence[int], sampling: SamplingParams | None = None) -> Completion:
        """What follows a raw prompt, whole. Arguments and errors as in `stream_generate`."""
        with self.stream_generate(prompt, sampling) as stream:
            for _ in stream:
                pass
            return stream.completion

    def stream_generate(
        self,
        prompt: str | Sequence[int],
        sampling: SamplingParams | None = None,
        *,
        constraint: TokenConstraint | None = None,
        on_prefill: PrefillProgress | None = None,
    ) -> CompletionStream:
        """What follows a raw prompt, as a stream of text.

        prompt: text, in which special tokens spelt out stay plain text, or token ids as they are.
        Raises PromptError or ContextLengthError for a prompt that cannot be run.
        """
        started = time.perf_counter()
        prompt_ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
        sampling = sampling or self.default_sampling(thinking=True)
        generation = self._generation(prompt_ids, sampling, constraint, on_prefill, started)
        return CompletionStream(generation, self.tokenizer, sampling.stop)

    def forget(self) -> None:
        """Give up the cache pages kept from the last reply."""
        self._runner.forget()

    def _generation(
        self,
        prompt_ids: list[int],
        sampling: SamplingParams,
        constraint: TokenConstraint | None,
        on_prefill: PrefillProgress | None,
        started: float,
    ) -> Generation:
        unknown = [token_id for token_id in sampling.stop_token_ids if token_id >= self._vocab_size]
        if unknown:
            raise PromptError(f"stop_token_ids: found {unknown[0]}, expected ids from 0 to {self._vocab_size - 1}")
        return Generation(
            self._runner,
            prompt_ids,
            sampling,
            vocab_size=self._vocab_size,
            stop_ids=self._stop_ids,
            constraint=constraint,
            on_prefill=on_prefill,
            started=started,
        )


def _parsed(messages: Sequence[Mapping[str, Any] | Message]) -> tuple[Message, ...]:
    if isinstance(messages, (list, tuple)) and messages and all(isinstance(message, Message) for message in messages):
        return tuple(messages)
    return parse_messages(messages)
