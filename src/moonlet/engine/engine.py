"""The sync face: a loaded model to chat with.

llm = LLM("path/to/checkpoint")
print(llm.chat([{"role": "user", "content": "hi"}]).content)
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from moonlet.cache import DiskTier
from moonlet.chat.messages import ImagePart, Message, ToolCall, VideoPart, parse_messages
from moonlet.chat.replay import ReplayMemory
from moonlet.chat.sampled_arguments import SampledArguments
from moonlet.chat.template import ChatTemplate
from moonlet.chat.tokenizer import Tokenizer
from moonlet.chat.tools import parse_tools
from moonlet.engine.completion import CompletionStream
from moonlet.engine.constraint import TokenConstraint
from moonlet.engine.core import EngineCore
from moonlet.engine.dialect import Dialect, PreparedTurn, ToolRendering
from moonlet.engine.generation import Generation, PrefillProgress
from moonlet.engine.language_model import LanguageModel
from moonlet.engine.media import MediaSpan, check_room
from moonlet.engine.media_library import MediaLibrary
from moonlet.engine.params import SamplingParams, default_sampling
from moonlet.engine.reply import ReplyStream
from moonlet.engine.request import Request
from moonlet.engine.response_format import parse_response_format
from moonlet.engine.result import Completion, Reply
from moonlet.engine.runner import Runner
from moonlet.engine.sampler import Sampler
from moonlet.engine.stats import EngineStats
from moonlet.engine.tool_choice import parse_tool_choice
from moonlet.engine.turn import Turn
from moonlet.engine.worker import Worker
from moonlet.errors import MediaError, PromptError
from moonlet.kernels import Runtime
from moonlet.media.config import MediaProcessorConfig
from moonlet.media.image import PreparedImage
from moonlet.media.options import MediaOptions
from moonlet.media.video import PreparedVideo

REPLAY_TOKENS = 1 << 20
"""Emitted tokens remembered to be read back as they were: the replies of hundreds of conversations in 8 MB."""


class Engine:
    """A model, its dialect and one pool of cache pages. Open replies take their steps together.

    Safe to use from threads: one thread of its own runs the model. `LLM` is this, loaded from a checkpoint.
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
        cache_tokens: int | None = None,
        feature_bytes: int = 0,
        max_running: int = 16,
        max_queue: int = 64,
        stop_ids: frozenset[int] = frozenset(),
        is_greedy_by_default: bool = False,
        media_config: MediaProcessorConfig | None = None,
        tool_rendering: ToolRendering = "typed",
        disk: DiskTier | None = None,
        rt: Runtime | None = None,
    ) -> None:
        """context_length: tokens of prompt and reply together.  chunk_size: prompt tokens a forward pass.

        cache_tokens: tokens of all open requests and kept prefixes together; as many as one context if not given.
        feature_bytes: of features of pictures kept for later requests.
        max_running: requests whose steps are taken together.  max_queue: requests that may wait beside them.

        stop_ids: ends of a turn named by the model's config, beside those of the tokenizer.
        is_greedy_by_default: the model asks for temperature 0 where the caller names none.
        media_config: how images and video are cut up; as published for K2.5 if None.
        tool_rendering: how tools without a TypeScript form are shown to `stream_turn`.
        disk: keeps pages and replies for the next run; closed with the engine.
        rt: draws tokens; one of its own if None.
        """
        self.tokenizer = tokenizer
        self._disk = disk
        self._replay = ReplayMemory(tokenizer, REPLAY_TOKENS, disk)
        self._arguments = SampledArguments(disk)
        self._is_greedy_by_default = is_greedy_by_default
        # A head padded beyond the vocabulary has ids without bytes; they are never sampled.
        self._vocab_size = min(model.vocab_size, tokenizer.vocab_size)
        # [EOT] ends a turn for the parser too; going on after it would produce tokens nobody sees.
        end_of_text = tokenizer.special_ids.get("[EOT]")
        self._stop_ids = tokenizer.stop_ids | stop_ids | ({end_of_text} if end_of_text is not None else set())
        self.dialect = Dialect(tokenizer, template, self._stop_ids, tool_rendering)
        self._rt = rt or Runtime(num_threads=1)
        self._sees = model.vision is not None
        self._library = MediaLibrary(media_config or MediaProcessorConfig())
        self._runner = Runner(
            model, context_length=context_length, cache_tokens=cache_tokens, feature_bytes=feature_bytes
        )
        core = EngineCore(self._runner, chunk_size=chunk_size, max_running=max_running, disk=disk)
        self._worker = Worker(core, max_running=max_running, max_queue=max_queue)

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
        tool_choice: str | Mapping[str, Any] | None = None,
        response_format: Mapping[str, Any] | None = None,
        sampling: SamplingParams | None = None,
        media: MediaOptions | None = None,
    ) -> Reply:
        """The next turn of a conversation, whole. Arguments and errors as in `stream_chat`."""
        turn = self._turn(messages, tools, thinking, tool_choice, response_format, sampling)
        with self._stream(self.prepare(turn, media), None, time.perf_counter(), in_step=False) as stream:
            for _ in stream:
                pass
            return stream.reply

    def stream_chat(
        self,
        messages: Sequence[Mapping[str, Any] | Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        thinking: bool = True,
        tool_choice: str | Mapping[str, Any] | None = None,
        response_format: Mapping[str, Any] | None = None,
        sampling: SamplingParams | None = None,
        media: MediaOptions | None = None,
        on_prefill: PrefillProgress | None = None,
    ) -> ReplyStream:
        """The next turn of a conversation as a stream of events. Everything is checked before this returns.

        messages: OpenAI-style, earlier turns with their `reasoning_content` and `tool_calls` (`Reply.to_message` makes
            them) and tool results. Images and videos are content parts (`image_url`, `video_url`), each with a path, a
            file: or a data: URL.  tools: OpenAI-style declarations.  thinking: False for instant mode.
        tool_choice: auto, none, required, or a function by its name.  response_format: OpenAI-style, for an answer in
            JSON; both are held to while sampling, as are the schemas of the tools.
        sampling: `default_sampling` of the mode if not given.  media: bounds for videos, and where media may come from.
        Raises PromptError for messages, tools or sampling that cannot be obeyed, MediaError for images and videos that
        cannot be read, ContextLengthError for too much of all that.
        """
        started = time.perf_counter()
        turn = self._turn(messages, tools, thinking, tool_choice, response_format, sampling)
        return self._stream(self.prepare(turn, media), on_prefill, started, in_step=True)

    def prepare(self, turn: Turn, media: MediaOptions | None = None) -> PreparedTurn:
        """`turn` checked, rendered and its grammars compiled; its media read. Errors as in `stream_chat`."""
        turn = replace(turn, messages=self._arguments.restored(turn.messages))
        seen = [self.read_media(part, media) for message in turn.messages for part in message.media]
        return self.dialect.prepare(turn, seen, self._replay)

    def stream_turn(self, prepared: PreparedTurn, *, on_prefill: PrefillProgress | None = None) -> ReplyStream:
        """The reply to a prepared turn as a stream of events. Raises ContextLengthError for too long a prompt."""
        return self._stream(prepared, on_prefill, time.perf_counter(), in_step=True)

    @property
    def sees(self) -> bool:
        """Whether the model reads images and video."""
        return self._sees

    def read_media(
        self, part: ImagePart | VideoPart, options: MediaOptions | None = None
    ) -> PreparedImage | PreparedVideo:
        """What the model will see of an image or a video; `stream_chat` does this for every part, once a file.

        Raises MediaError in one line if it cannot be read, or if the model has no vision tower.
        """
        if not self._sees:
            kind = "an image" if isinstance(part, ImagePart) else "a video"
            raise MediaError(
                f"messages: found {kind}, but this model has no vision tower and reads text only; leave it out, or use "
                "a model that sees"
            )
        return self._library.read(part, options or MediaOptions())

    def generate(self, prompt: str | Sequence[int], sampling: SamplingParams | None = None) -> Completion:
        """What follows a raw prompt, whole. Arguments and errors as in `stream_generate`."""
        with self._open_completion(prompt, sampling, None, None, in_step=False) as stream:
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
        return self._open_completion(prompt, sampling, constraint, on_prefill, in_step=True)

    def forget(self) -> None:
        """Give up the cache pages kept from earlier replies in memory; a folder on the disk keeps its own."""
        self._worker.call(self._worker.core.forget)

    def stats(self) -> EngineStats:
        """What the engine is doing and has done."""
        return self._worker.core.stats()

    def close(self) -> None:
        """End every open reply with EngineClosedError after the forward pass in hand, and the engine's thread; what is
        to be kept on the disk is written.

        An engine that nobody refers to any more, not even an open reply, ends its thread by itself.
        """
        self._worker.close()
        if self._disk is not None:
            self._disk.close()

    def _turn(
        self,
        messages: Sequence[Mapping[str, Any] | Message],
        tools: Sequence[Mapping[str, Any]] | None,
        thinking: bool,
        tool_choice: str | Mapping[str, Any] | None,
        response_format: Mapping[str, Any] | None,
        sampling: SamplingParams | None,
    ) -> Turn:
        return Turn(
            messages=_parsed(messages),
            sampling=sampling or self.default_sampling(thinking),
            tools=parse_tools(tools),
            thinking=thinking,
            tool_choice=parse_tool_choice(tool_choice),
            json_output=parse_response_format(response_format),
        )

    def _stream(
        self, prepared: PreparedTurn, on_prefill: PrefillProgress | None, started: float, *, in_step: bool
    ) -> ReplyStream:
        sampling, prompt = prepared.turn.sampling, prepared.prompt
        check_room(prepared.num_prompt_tokens, prepared.seen, self.context_length)
        constraint = self.dialect.constraint(prepared)
        generation = self._generation(
            list(prepared.prompt_ids), prepared.spans, sampling, constraint, on_prefill, started, in_step
        )
        return ReplyStream(
            generation,
            self.tokenizer,
            self.dialect.parser(prepared),
            sampling.stop,
            thinking=prompt.opens_thinking,
            remember=partial(self._remember, prompt.ids),
        )

    def _remember(self, prompt_ids: Sequence[int], emitted_ids: Sequence[int], calls: Sequence[ToolCall]) -> None:
        """Keep a reply as it was sampled, for when its text comes back as history."""
        self._replay.remember(prompt_ids, emitted_ids)
        self._arguments.remember(calls)

    def _open_completion(
        self,
        prompt: str | Sequence[int],
        sampling: SamplingParams | None,
        constraint: TokenConstraint | None,
        on_prefill: PrefillProgress | None,
        *,
        in_step: bool,
    ) -> CompletionStream:
        started = time.perf_counter()
        prompt_ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
        sampling = sampling or self.default_sampling(thinking=True)
        generation = self._generation(prompt_ids, (), sampling, constraint, on_prefill, started, in_step)
        return CompletionStream(generation, self.tokenizer, sampling.stop)

    def _generation(
        self,
        prompt_ids: list[int],
        media: tuple[MediaSpan, ...],
        params: SamplingParams,
        constraint: TokenConstraint | None,
        on_prefill: PrefillProgress | None,
        started: float,
        in_step: bool,
    ) -> Generation:
        unknown = [token_id for token_id in params.stop_token_ids if token_id >= self._vocab_size]
        if unknown:
            raise PromptError(f"stop_token_ids: found {unknown[0]}, expected ids from 0 to {self._vocab_size - 1}")
        self._runner.check_prompt(prompt_ids)
        seed = secrets.randbits(63) if params.seed is None else params.seed
        room = self.context_length - len(prompt_ids)
        request = Request(
            self._runner.open(prompt_ids, media, is_scored=params.prompt_logprobs is not None),
            Sampler(self._rt, params, seed, self._vocab_size, prompt_ids, constraint),
            stop_ids=self._stop_ids | frozenset(params.stop_token_ids),
            ignored_ids=self._stop_ids.difference(params.stop_token_ids) if params.ignore_eos else frozenset(),
            max_tokens=room if params.max_tokens is None else min(room, params.max_tokens),
        )
        return Generation(
            self._worker,
            request,
            seed=seed,
            wants_logprobs=params.logprobs is not None,
            in_step=in_step,
            on_prefill=on_prefill,
            started=started,
        )


def _parsed(messages: Sequence[Mapping[str, Any] | Message]) -> tuple[Message, ...]:
    if isinstance(messages, (list, tuple)) and messages and all(isinstance(message, Message) for message in messages):
        return tuple(messages)
    return parse_messages(messages)
