"""JSON Schemas as grammars over tokens: which token may come next. The automata are llguidance's.

A schema comes from outside, so what it may cost is bounded before and while it is compiled: by the limits of schema.py
and by the library's own. What is over a limit, or cannot be obeyed, is refused by the path of its smallest guilty part.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.constraint import TokenMask
from moonlet.engine.schema import (
    SCHEMA_NAMES,
    SchemaPath,
    check_schema,
    part_in_place,
    parts_of,
    replaced,
    shown,
    with_plain_one_of,
    without_dead_ends,
)
from moonlet.errors import ConstraintError, PromptError

MAX_CACHED_GRAMMARS = 256
# What looking for the guilty part of a schema may cost. One compilation is bounded by _LIMITS.
_MAX_SEARCH_S = 3.0

# One space at most between two JSON tokens: a model that may write blanks without end sometimes does.
_JSON_OPTIONS = {
    "whitespace_flexible": True,
    "whitespace_pattern": " ",
    "item_separator": ",",
    "key_separator": ":",
}
_LIMITS = LLParserLimits(initial_lexer_fuel=1_000_000, max_grammar_size=200_000, verbose_errors=False)
# May be left out of a tool's schema where the library cannot obey them, in this order.
_SUPPORT_VARIES = (
    *("format", "minProperties", "maxProperties", "propertyNames", "patternProperties", "contains", "multipleOf"),
    *("$ref", "$dynamicRef", "pattern"),
)
# Of these the library sometimes says that nothing satisfies them where something does; `format` is a hint by the
# standard (Draft 2020-12, validation, 7.2.1), so that one at odds with a pattern gives way.
_MAY_SEEM_IMPOSSIBLE = ("format", "minProperties", "maxProperties")
_IMPOSSIBLE = "Unsatisfiable schema"


class Grammar:
    """A compiled grammar, shared by requests. `start` begins a new use of it."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def start(self) -> GrammarState:
        """A state before the first token."""
        return GrammarState(self._matcher.deep_copy())


class GrammarState:
    """How far one text has come in its grammar."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    @property
    def may_end(self) -> bool:
        """Whether the text is complete as it is."""
        return bool(self._matcher.is_accepting())

    @property
    def must_end(self) -> bool:
        """Whether nothing can follow."""
        return bool(self._matcher.is_stopped())

    def fill_mask(self, mask: TokenMask) -> None:
        """Write the tokens that may come next into `mask`. Raises ConstraintError where there are none."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint32)
        self._check()
        # Ids that the tokenizer has and the model has not, or the other way round, are left out.
        mask[:] = 0
        count = min(len(bits), len(mask))
        mask[:count] = bits[:count]

    def accept(self, token_id: int) -> None:
        """Take the token that was chosen. Raises ConstraintError for one that was not allowed."""
        self._matcher.consume_token(token_id)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ConstraintError(f"the grammar of this reply failed: {_one_line(self._matcher.get_error())}")


class GrammarCompiler:
    """Grammars over one tokenizer's vocabulary. Safe to use from threads; the last ones compiled are kept."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokens = LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer)))
        self._kept: OrderedDict[tuple[str, bool], Grammar] = OrderedDict()
        self._lock = Lock()

    def json(self, schema: Mapping[str, Any], path: str, *, lenient: bool) -> Grammar:
        """The JSON values that `schema` allows. path: where the schema stands in the request, for errors.

        lenient: what the library cannot obey is passed over instead of refused, and `oneOf` is taken for `anyOf`.
        Raises PromptError naming the part that is over a limit, contradicts itself or cannot be obeyed.
        """
        text = check_schema(schema, path)
        return self._compiled((text, lenient), lambda: self._compile_json(schema, path, lenient))

    def allows(self, schema: Mapping[str, Any], path: str) -> bool:
        """Whether some value satisfies `schema`, leniently read. Raises PromptError for one over a limit."""
        check_schema(schema, path)
        return not self._try_json(without_dead_ends(schema, path, dangling=True), lenient=True).is_error()

    def regex(self, pattern: str) -> Grammar:
        """What `pattern`, one of our own, matches as a whole."""
        source = LLMatcher.grammar_from_regex(pattern)
        return self._compiled((source, False), lambda: self._matcher(source))

    def _compiled(self, key: tuple[str, bool], build: Callable[[], LLMatcher]) -> Grammar:
        with self._lock:
            grammar = self._kept.get(key)
            if grammar is not None:
                self._kept.move_to_end(key)
                return grammar
        # Built outside the lock: a large schema takes a while, and the library lets other threads run.
        grammar = Grammar(build())
        with self._lock:
            self._kept[key] = grammar
            while len(self._kept) > MAX_CACHED_GRAMMARS:
                self._kept.popitem(last=False)
        return grammar

    def _compile_json(self, schema: Mapping[str, Any], path: str, lenient: bool) -> LLMatcher:
        whole = without_dead_ends(schema, path, dangling=lenient)
        if not lenient:
            whole = with_plain_one_of(whole, whole)
        deadline = time.monotonic() + _MAX_SEARCH_S
        matcher = self._try_json(whole, lenient)
        while matcher.is_error():
            guilty, error = self._guilty_part(whole, lenient, str(matcher.get_error()), deadline)
            weaker = self._weaker(whole, guilty, error, lenient) if time.monotonic() < deadline else None
            if weaker is None:
                raise PromptError(f"{path}{shown(guilty)}: this schema cannot be obeyed: {_one_line(error)}")
            whole = weaker
            matcher = self._try_json(whole, lenient)
        return matcher

    def _try_json(self, schema: Any, lenient: bool) -> LLMatcher:
        options: Any = {**_JSON_OPTIONS, "lenient": lenient, "coerce_one_of": lenient}
        try:
            source = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=options)
        except ValueError as error:
            raise PromptError(f"the schema is not JSON: {_one_line(str(error))}") from None
        return self._matcher(source)

    def _weaker(self, whole: Any, guilty: SchemaPath, error: str, lenient: bool) -> Any:
        """`whole` without the keyword of its guilty part that is in the way; None if none may be passed over."""
        part = whole
        for step in guilty:
            part = part[step]
        if not isinstance(part, Mapping):
            return None
        may_go: tuple[str, ...] = SCHEMA_NAMES
        if lenient:
            may_go += _MAY_SEEM_IMPOSSIBLE if error.startswith(_IMPOSSIBLE) else _SUPPORT_VARIES
        for keyword in may_go:
            if keyword in part:
                rest = {key: value for key, value in part.items() if key != keyword}
                if not self._try_json(part_in_place(whole, guilty, rest), lenient).is_error():
                    return replaced(whole, guilty, rest)
        return None

    def _matcher(self, source: str) -> LLMatcher:
        return LLMatcher(self._tokens, source, log_level=0, limits=_LIMITS)

    def _guilty_part(self, whole: Any, lenient: bool, error: str, deadline: float) -> tuple[SchemaPath, str]:
        """The path of the smallest part that fails by itself, and how it fails."""
        part: Any = whole
        path: SchemaPath = ()
        searching = True
        while searching:
            searching = False
            for step, child in parts_of(part) if isinstance(part, Mapping) else ():
                if time.monotonic() > deadline or not isinstance(child, Mapping):
                    continue
                matcher = self._try_json(part_in_place(whole, (*path, *step), child), lenient)
                if matcher.is_error():
                    part, path, error, searching = child, (*path, *step), str(matcher.get_error()), True
                    break
        return path, error


class _Vocabulary:
    """What llguidance asks of a tokenizer. Special tokens are in no grammar: markers are decided elsewhere."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.eos_token_id = tokenizer.im_end_id
        self.bos_token_id = tokenizer.bos_id
        self.tokens = [tokenizer.token_bytes(token_id) for token_id in range(tokenizer.vocab_size)]
        self.special_token_ids = sorted(tokenizer.special_ids.values())
        self._encode = tokenizer.encode

    def __call__(self, text: bytes) -> list[int]:
        return self._encode(text.decode("utf-8", "replace"))


def _one_line(error: str) -> str:
    # What follows names places in the schema as it was given to the library, not as it was sent.
    line = " ".join(error.split()).partition(" while processing ")[0]
    return line if len(line) <= 300 else line[:300] + "..."
