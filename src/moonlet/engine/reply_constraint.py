"""What a reply may consist of, token by token: thinking, then an answer or tool calls whose JSON is valid.

    REASONING   free, until </think>, the start of a tool section, or the end of the thinking budget
    CONTENT     free; or the JSON that was asked for; or nothing but a tool section, where a call is required
    SECTION     a call begins; after one, the section may end
    HEADER      the id of a call: functions.NAME:INDEX with a name that may be called
    ARGUMENTS   JSON by the schema of that tool, then the end of the call
    ENDED       the turn ends

Markers that would mean nothing where they stand are never allowed, so what is sampled is what the template would print
for it, and the next request finds it in the prefix cache.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from moonlet.chat.tokenizer import ARGUMENT_BEGIN, CALL_BEGIN, CALL_END, SECTION_BEGIN, SECTION_END, Tokenizer
from moonlet.chat.tools import ToolDeclaration
from moonlet.engine.constraint import TokenMask
from moonlet.engine.grammar import Grammar, GrammarCompiler, GrammarState
from moonlet.engine.turn import ANY_OBJECT, Turn
from moonlet.errors import PromptError

_NO_OBJECTS = ("string", "number", "integer", "boolean", "null", "array")
_ANY_NAME = r"[A-Za-z_][A-Za-z0-9_.\-]{0,255}"


@dataclass(frozen=True, slots=True)
class ReplyRules:
    """What one turn asks of its reply, compiled. Building it is the only slow and the only failing step.

    arguments: the grammar of each tool that may be called; empty for none, None for any name with any JSON object.
    """

    arguments: dict[str, Grammar] | None
    any_arguments: Grammar
    answer: Grammar | None
    must_call: bool
    max_calls: int | None
    thinking_budget: int | None
    num_earlier_calls: int

    @property
    def may_call(self) -> bool:
        return self.arguments is None or bool(self.arguments)


def compile_rules(turn: Turn, compiler: GrammarCompiler) -> ReplyRules:
    """The rules of `turn`. Raises PromptError naming the part of a schema that cannot be obeyed.

    A tool's schema is obeyed as far as it can be, since agents declare tools they did not write; the schema of an
    answer exactly, since somebody will parse it.
    """
    num_earlier_calls = sum(len(message.tool_calls) for message in turn.messages)
    any_arguments = compiler.json(ANY_OBJECT, "tools", lenient=True)
    arguments: dict[str, Grammar] | None = {}
    if turn.tool_choice.mode != "none":
        arguments = {
            tool.name: _arguments_grammar(tool, f"tools[{index}].function.parameters", any_arguments, compiler)
            for index, tool in enumerate(turn.tools)
            if tool in turn.callable_tools
        }
        if not turn.tools and num_earlier_calls:
            # A client that stopped declaring its tools in the middle of using them.
            arguments = None
    answer = None
    if turn.json_output is not None:
        answer = compiler.json(turn.json_output.schema, turn.json_output.path, lenient=False)
    return ReplyRules(
        arguments=arguments,
        any_arguments=any_arguments,
        answer=answer,
        must_call=turn.tool_choice.mode == "required",
        max_calls=None if turn.parallel_tool_calls else 1,
        thinking_budget=_thinking_budget(turn),
        num_earlier_calls=num_earlier_calls,
    )


def _arguments_grammar(tool: ToolDeclaration, path: str, any_arguments: Grammar, compiler: GrammarCompiler) -> Grammar:
    if not tool.strict or not tool.parameters:
        return any_arguments
    # Arguments are an object whatever the schema forgot to say, and any object where it speaks of something else.
    kinds = tool.parameters.get("type", "object")
    if "object" not in kinds if isinstance(kinds, list) else kinds in _NO_OBJECTS:
        return any_arguments
    try:
        return compiler.json({**tool.parameters, "type": "object"}, path, lenient=True)
    except PromptError:
        if "type" not in tool.parameters and compiler.allows(tool.parameters, path):
            return any_arguments
        raise


def _thinking_budget(turn: Turn) -> int | None:
    if turn.thinking_budget is None and turn.tool_choice.mode == "required" and turn.sampling.max_tokens is not None:
        # Else the thinking alone might use up the limit, and the call that must come would not.
        return turn.sampling.max_tokens // 2
    return turn.thinking_budget


class _State(Enum):
    REASONING = auto()
    CONTENT = auto()
    SECTION = auto()
    HEADER = auto()
    ARGUMENTS = auto()
    ENDED = auto()


class ReplyConstraint:
    """A TokenConstraint that follows one reply."""

    def __init__(
        self,
        rules: ReplyRules,
        tokenizer: Tokenizer,
        compiler: GrammarCompiler,
        *,
        opens_thinking: bool,
        stop_ids: Collection[int],
    ) -> None:
        """opens_thinking: whether the prompt ends inside an open `<think>`.  stop_ids: the ends of a turn."""
        self._rules = rules
        self._tokenizer = tokenizer
        self._compiler = compiler
        self._stop_ids = tuple(stop_ids)
        special = tokenizer.special_ids
        self._section_begin, self._section_end = special[SECTION_BEGIN], special[SECTION_END]
        self._call_begin, self._call_end = special[CALL_BEGIN], special[CALL_END]
        self._argument_begin = special[ARGUMENT_BEGIN]
        self._state = _State.REASONING if opens_thinking else _State.CONTENT
        self._num_reasoning_tokens = 0
        self._num_calls = 0
        self._answer = rules.answer.start() if rules.answer is not None else None
        self._answer_begun = False
        self._grammar: GrammarState | None = None
        self._header: list[int] = []

    @property
    def is_finished(self) -> bool:
        """Whether only the end of the turn can follow; the model need not run for that."""
        return self._state is _State.ENDED or (
            self._answer is not None and self._answer_begun and self._answer.must_end
        )

    def fill_mask(self, mask: TokenMask) -> bool:
        """Write the tokens allowed next. Raises ConstraintError if there are none."""
        match self._state:
            case _State.REASONING:
                self._fill_reasoning(mask)
            case _State.CONTENT:
                self._fill_content(mask)
            case _State.SECTION:
                _allow_only(mask, *self._after_call())
            case _State.HEADER | _State.ARGUMENTS:
                assert self._grammar is not None
                if self._grammar.must_end:
                    _allow_only(mask, self._argument_begin if self._state is _State.HEADER else self._call_end)
                else:
                    self._grammar.fill_mask(mask)
            case _State.ENDED:
                _allow_only(mask, *self._stop_ids)
        return True

    def accept(self, token_id: int) -> None:
        """Take the token that was chosen. Raises ConstraintError for one that the grammar did not allow."""
        match self._state:
            case _State.REASONING:
                self._num_reasoning_tokens += 1
                if token_id == self._tokenizer.end_think_id:
                    self._state = _State.CONTENT
                elif token_id == self._section_begin:
                    self._state = _State.SECTION
            case _State.CONTENT:
                if token_id == self._section_begin:
                    self._state = _State.SECTION
                elif self._answer is not None and token_id not in self._stop_ids:
                    self._answer.accept(token_id)
                    self._answer_begun = True
            case _State.SECTION:
                self._state = _State.HEADER if token_id == self._call_begin else _State.ENDED
                self._grammar = self._header_grammar().start()
                self._header = []
            case _State.HEADER:
                self._accept_header(token_id)
            case _State.ARGUMENTS:
                assert self._grammar is not None
                if token_id == self._call_end:
                    self._num_calls += 1
                    self._state = _State.SECTION
                else:
                    self._grammar.accept(token_id)
            case _State.ENDED:
                pass

    def _accept_header(self, token_id: int) -> None:
        assert self._grammar is not None
        if token_id != self._argument_begin:
            self._grammar.accept(token_id)
            self._header.append(token_id)
            return
        name = self._tokenizer.decode(self._header).removeprefix("functions.").rpartition(":")[0]
        known = self._rules.arguments
        self._grammar = (self._rules.any_arguments if known is None else known[name]).start()
        self._state = _State.ARGUMENTS

    def _header_grammar(self) -> Grammar:
        index = self._rules.num_earlier_calls + self._num_calls
        if self._rules.arguments is None:
            return self._compiler.regex(rf"functions\.{_ANY_NAME}:{index}")
        names = "|".join(re.escape(name) for name in self._rules.arguments)
        return self._compiler.regex(rf"functions\.({names}):{index}")

    def _after_call(self) -> tuple[int, ...]:
        if self._num_calls == 0:
            return (self._call_begin,)
        if self._num_calls == self._rules.max_calls:
            return (self._section_end,)
        return (self._call_begin, self._section_end)

    def _fill_reasoning(self, mask: TokenMask) -> None:
        end_think = self._tokenizer.end_think_id
        budget = self._rules.thinking_budget
        if budget is not None and self._num_reasoning_tokens >= budget and end_think is not None:
            _allow_only(mask, end_think)
            return
        self._allow_text(mask)
        if self._rules.must_call or self._answer is not None:
            for token_id in self._stop_ids:
                _set(mask, token_id, False)

    def _fill_content(self, mask: TokenMask) -> None:
        if self._rules.must_call:
            _allow_only(mask, self._section_begin)
        elif self._answer is None:
            self._allow_text(mask)
            for token_id in (self._tokenizer.think_id, self._tokenizer.end_think_id):
                if token_id is not None:
                    _set(mask, token_id, False)
        elif self._answer.must_end:
            _allow_only(mask, *self._stop_ids)
        else:
            self._answer.fill_mask(mask)
            for token_id in self._stop_ids:
                _set(mask, token_id, self._answer.may_end)
            _set(mask, self._section_begin, self._rules.may_call and not self._answer_begun)

    def _allow_text(self, mask: TokenMask) -> None:
        """Everything but the markers that cannot stand in text; the one that leaves it where a call is allowed."""
        mask[:] = _ALL
        for token_id in (self._section_end, self._call_begin, self._argument_begin, self._call_end):
            _set(mask, token_id, False)
        _set(mask, self._section_begin, self._rules.may_call)


_ALL = np.uint32(0xFFFFFFFF)


def _set(mask: TokenMask, token_id: int, allowed: bool) -> None:
    # An id beyond the model's vocabulary cannot be sampled anyway.
    if token_id // 32 < len(mask):
        bit = np.uint32(1 << token_id % 32)
        mask[token_id // 32] = mask[token_id // 32] | bit if allowed else mask[token_id // 32] & ~bit


def _allow_only(mask: TokenMask, *token_ids: int) -> None:
    mask[:] = 0
    for token_id in token_ids:
        _set(mask, token_id, True)
