"""A model's dialect: turns to prompts, and what belongs to reading the reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from moonlet.chat.continuation import continue_message
from moonlet.chat.history import with_canonical_ids
from moonlet.chat.messages import Message
from moonlet.chat.parser import OutputParser
from moonlet.chat.renderable import renderable_tool
from moonlet.chat.replay import ReplayMemory
from moonlet.chat.template import ChatTemplate, RenderedPrompt, video_text
from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.grammar import GrammarCompiler
from moonlet.engine.media import MediaSpan, place_media
from moonlet.engine.reply_constraint import ReplyConstraint, ReplyRules, compile_rules
from moonlet.engine.turn import Turn
from moonlet.media.image import PreparedImage
from moonlet.media.video import PreparedVideo

ToolRendering = Literal["typed", "official"]
"""typed: a tool whose schema has no TypeScript form is given the nearest one.  official: all tools become JSON then."""


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """A turn checked to the end, rendered and compiled; nothing about it can fail any more but the model itself."""

    turn: Turn
    prompt: RenderedPrompt
    prompt_ids: tuple[int, ...]
    """Those of the prompt with a placeholder for every token of its media, which stand at `spans`."""
    spans: tuple[MediaSpan, ...]
    seen: tuple[PreparedImage | PreparedVideo, ...]
    rules: ReplyRules
    earlier_call_ids: tuple[str, ...]
    """Ids that a new call may not be given: as the caller knows them and as the prompt shows them."""

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.prompt_ids)


class Dialect:
    """Tokenizer, template and grammars of one model. Safe to use from threads."""

    def __init__(
        self, tokenizer: Tokenizer, template: ChatTemplate, stop_ids: frozenset[int], tool_rendering: ToolRendering
    ) -> None:
        """stop_ids: the ends of a turn."""
        self.tokenizer = tokenizer
        self._template = template
        self._stop_ids = stop_ids
        self._tool_rendering = tool_rendering
        self._compiler: GrammarCompiler | None = None

    def prepare(self, turn: Turn, seen: Sequence[PreparedImage | PreparedVideo], replay: ReplayMemory) -> PreparedTurn:
        """`turn` ready to run. Raises PromptError or TemplateError.

        seen: the media of its messages, in their order.  replay: replies to be read back as they were emitted.
        """
        messages = with_canonical_ids(turn.messages)
        prompt = self._render(turn, messages, seen, replay)
        prompt_ids, spans = place_media(prompt, seen)
        call_ids = [call.id for message in (*messages, *turn.messages) for call in message.tool_calls]
        return PreparedTurn(
            turn=turn,
            prompt=prompt,
            prompt_ids=tuple(prompt_ids),
            spans=spans,
            seen=tuple(seen),
            rules=compile_rules(turn, self.compiler),
            earlier_call_ids=tuple(call_ids),
        )

    def _render(
        self,
        turn: Turn,
        messages: Sequence[Message],
        seen: Sequence[PreparedImage | PreparedVideo],
        replay: ReplayMemory,
    ) -> RenderedPrompt:
        tools = turn.tools
        if self._tool_rendering == "typed":
            tools = tuple(map(renderable_tool, tools))
        extra: dict[str, Any] = {"preserve_thinking": True} if turn.preserve_thinking else {}
        prompt = self._template.render(
            messages[:-1] if turn.continues_last else messages,
            tools=tools,
            thinking=turn.thinking,
            video_texts=[video_text(one.timestamps) for one in seen if isinstance(one, PreparedVideo)],
            replay=replay,
            **extra,
        )
        return continue_message(prompt, messages[-1], self.tokenizer) if turn.continues_last else prompt

    @property
    def compiler(self) -> GrammarCompiler:
        """Made when first needed: reading a vocabulary of 163,840 tokens takes half a second."""
        if self._compiler is None:
            self._compiler = GrammarCompiler(self.tokenizer)
        return self._compiler

    def parser(self, prepared: PreparedTurn) -> OutputParser:
        """A parser for one reply to `prepared`."""
        return OutputParser(
            self.tokenizer,
            thinking=prepared.prompt.opens_thinking,
            num_earlier_tool_calls=prepared.rules.num_earlier_calls,
            earlier_tool_call_ids=prepared.earlier_call_ids,
        )

    def constraint(self, prepared: PreparedTurn) -> ReplyConstraint:
        """A constraint for one reply to `prepared`."""
        return ReplyConstraint(
            prepared.rules,
            self.tokenizer,
            self.compiler,
            opens_thinking=prepared.prompt.opens_thinking,
            stop_ids=self._stop_ids,
        )
