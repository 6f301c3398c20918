"""From the tokens of a reply to events: reasoning, content, tool calls.

The parser reads token ids, so a marker that the model merely writes out in ordinary tokens is text. The one exception
is the singular `<|tool_call_section_begin|>`, which K2.5 sometimes writes although no such token exists: it opens a
section if a tool call follows it, and is text if anything else does.

    REASONING   text is reasoning; </think> leads to CONTENT, a tool section or call closes the reasoning by itself
    CONTENT     text is content; <think> and </think> are dropped
    SECTION     between and after calls: text is dropped, unless arguments follow it (its last word was a call's id)
    HEADER      after call begin: text is the id, until the arguments begin
    ARGUMENTS   text is arguments, exactly as sampled
    SKIPPING    inside a call without any name, which nobody could answer: text is dropped
    DONE        after <|im_end|>, [EOS] or [EOT]: nothing more is read

Control tokens are never shown. What is held back is bounded, so a token costs the same however long the reply is.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from moonlet.chat.detokenizer import Detokenizer
from moonlet.chat.events import ContentDelta, Event, ReasoningDelta, ToolCallArguments, ToolCallEnd, ToolCallStart
from moonlet.chat.tokenizer import (
    ARGUMENT_BEGIN,
    CALL_BEGIN,
    CALL_END,
    END_THINK,
    SECTION_BEGIN,
    SECTION_END,
    Tokenizer,
)
from moonlet.chat.tool_call_ids import ToolCallIds

_WRITTEN_SECTION_BEGIN = "<|tool_call_section_begin|>"
_END_OF_TURN = "[EOT]"
# The longest id a model can be asked to write, and some: more text than this after a written section begin is prose.
_MAX_HEADER_CHARS = 320
# A reply cut off inside a written section begin shows what it has of it only if that could be anything else too.
_CLEARLY_A_MARKER = "<|tool_call_"


class _State(Enum):
    REASONING = auto()
    CONTENT = auto()
    SECTION = auto()
    HEADER = auto()
    ARGUMENTS = auto()
    SKIPPING = auto()
    DONE = auto()


class OutputParser:
    """Parses one reply. Feed every sampled token to `push`, then call `finish` once; nothing raises on odd output."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        thinking: bool,
        num_earlier_tool_calls: int = 0,
        earlier_tool_call_ids: Iterable[str] = (),
    ) -> None:
        """thinking: whether the prompt ends inside an open `<think>` (RenderedPrompt.opens_thinking).

        num_earlier_tool_calls, earlier_tool_call_ids: the calls of the conversation so far; ids continue from there.
        """
        self._state = _State.REASONING if thinking else _State.CONTENT
        self._detokenizer = Detokenizer(tokenizer)
        self._special_names = {token_id: name for name, token_id in tokenizer.special_ids.items()}
        self._stop_names = {self._special_names[token_id] for token_id in tokenizer.stop_ids} | {_END_OF_TURN}
        self._ids = ToolCallIds(num_earlier_tool_calls, earlier_tool_call_ids)
        self._num_calls = 0
        # Text not yet decided on: in REASONING and CONTENT what may be a written section begin and what follows it; in
        # SECTION and HEADER what may be the id of a call.
        self._held = ""
        self._events: list[Event] = []

    def push(self, token_id: int) -> list[Event]:
        """The events that `token_id` completes. Raises PromptError only for an id outside the vocabulary."""
        if self._state is not _State.DONE:
            name = self._special_names.get(token_id)
            if name is None:
                self._text(self._detokenizer.push(token_id))
            else:
                self._text(self._detokenizer.flush())
                self._marker(name)
        return self._take()

    def finish(self) -> list[Event]:
        """The events that the end of the reply completes: held text, the end of an open call."""
        if self._state is not _State.DONE:
            self._text(self._detokenizer.flush())
            if self._state is _State.HEADER:
                # Cut off inside an id: who is called is not known, so the call never began.
                self._enter(_State.SKIPPING)
            self._leave_text(is_section=False)
            self._end_call()
            self._enter(_State.DONE)
        return self._take()

    def _take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _marker(self, name: str) -> None:
        if name in self._stop_names:
            self._leave_text(is_section=False)
            self._end_call()
            self._enter(_State.DONE)
        elif name == CALL_BEGIN:
            self._leave_text(is_section=True)
            self._end_call()
            self._enter(_State.HEADER)
        elif name == ARGUMENT_BEGIN:
            self._argument_begin()
        elif name == CALL_END:
            if self._state in (_State.HEADER, _State.ARGUMENTS, _State.SKIPPING):
                self._end_call()
                self._enter(_State.SECTION)
        elif name == SECTION_BEGIN:
            self._leave_text(is_section=True)
            self._end_call()
            self._enter(_State.SECTION)
        elif name == SECTION_END:
            if self._state not in (_State.REASONING, _State.CONTENT):
                self._end_call()
                self._enter(_State.SECTION)
        elif name == END_THINK and self._state is _State.REASONING:
            self._leave_text(is_section=False)
            self._enter(_State.CONTENT)
        # Any other control token (a second <think>, a role marker, padding) is dropped; the text around it goes on.

    def _argument_begin(self) -> None:
        header = self._held
        if self._state is _State.SECTION:
            header = " ".join(header.split()[-1:])
        elif self._state in (_State.REASONING, _State.CONTENT):
            header = header[len(_WRITTEN_SECTION_BEGIN) :] if header.startswith(_WRITTEN_SECTION_BEGIN) else ""
        elif self._state is not _State.HEADER:
            return
        if header.strip() or self._state is _State.HEADER:
            self._start_call(header)

    def _text(self, text: str) -> None:
        if not text:
            return
        match self._state:
            case _State.REASONING | _State.CONTENT:
                self._held += text
                self._release()
            case _State.SECTION:
                self._held = (self._held + text)[-_MAX_HEADER_CHARS:]
            case _State.HEADER:
                self._held += text
                header, brace, arguments = self._held.partition("{")
                if len(header) > _MAX_HEADER_CHARS:
                    self._enter(_State.SKIPPING)
                elif brace:
                    # The argument marker was forgotten, and no name holds a brace: the arguments begin here.
                    self._start_call(header)
                    self._text(brace + arguments)
            case _State.ARGUMENTS:
                self._events.append(ToolCallArguments(self._num_calls - 1, text))
            case _State.SKIPPING | _State.DONE:
                pass

    def _release(self) -> None:
        """Emit held text up to where a written section begin may start, or all of it once it turned out to be prose."""
        while True:
            start = _written_begin(self._held)
            self._emit_text(self._held[:start])
            self._held = self._held[start:]
            if not _is_prose(self._held[len(_WRITTEN_SECTION_BEGIN) :]):
                return
            self._emit_text(_WRITTEN_SECTION_BEGIN)
            self._held = self._held[len(_WRITTEN_SECTION_BEGIN) :]

    def _leave_text(self, *, is_section: bool) -> None:
        """Before REASONING or CONTENT is left: emit what is held, less a written section begin at its start.

        Where a section follows, what came after the written begin belongs to it and goes as well.
        """
        if self._state in (_State.REASONING, _State.CONTENT):
            if self._held.startswith(_CLEARLY_A_MARKER):
                self._held = "" if is_section else self._held[len(_WRITTEN_SECTION_BEGIN) :].lstrip()
            self._emit_text(self._held)
            self._held = ""

    def _emit_text(self, text: str) -> None:
        if text:
            self._events.append(ReasoningDelta(text) if self._state is _State.REASONING else ContentDelta(text))

    def _enter(self, state: _State) -> None:
        self._state = state
        self._held = ""

    def _start_call(self, header: str) -> None:
        call_id, name = self._ids.assign(header)
        if name:
            self._events.append(ToolCallStart(self._num_calls, call_id, name))
            self._num_calls += 1
        self._enter(_State.ARGUMENTS if name else _State.SKIPPING)

    def _end_call(self) -> None:
        """A marker ends the call, if one is open: also one whose id is written but whose arguments never came."""
        if self._state is _State.HEADER:
            self._start_call(self._held)
        if self._state is _State.ARGUMENTS:
            self._events.append(ToolCallEnd(self._num_calls - 1))


def _written_begin(text: str) -> int:
    """Where a written section begin starts in `text`, or may start at its end; len(text) if nowhere."""
    whole = text.find(_WRITTEN_SECTION_BEGIN)
    if whole >= 0:
        return whole
    start = text.find("<", max(0, len(text) - len(_WRITTEN_SECTION_BEGIN) + 1))
    while start >= 0 and not _WRITTEN_SECTION_BEGIN.startswith(text[start:]):
        start = text.find("<", start + 1)
    return start if start >= 0 else len(text)


def _is_prose(after: str) -> bool:
    """Whether the text after a written section begin can no longer be the id of a call."""
    word = after.lstrip()
    return len(after) > _MAX_HEADER_CHARS or len(word.split(None, 1)) > 1 or word.find("<") > 0
