"""JSON Schemas as grammars over tokens: which token may come next. The automata are llguidance's.

A schema comes from outside, so what it may cost is bounded before and while it is compiled: its size, its depth, the
patterns that would have to be intersected, and the library's own limits. What is over a limit, or cannot be obeyed, is
refused by the path of its smallest guilty part.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.constraint import TokenMask
from moonlet.errors import ConstraintError, PromptError

MAX_SCHEMA_CHARS = 200_000
MAX_SCHEMA_DEPTH = 60
# Each pattern of an intersection may double the automaton: 8 take milliseconds, 20 were measured at 38 seconds.
MAX_INTERSECTED_PATTERNS = 8
MAX_CACHED_GRAMMARS = 256
_MAX_PARTS_SEARCHED = 500

# One space at most between two JSON tokens: a model that may write blanks without end sometimes does.
_JSON_OPTIONS = {
    "whitespace_flexible": True,
    "whitespace_pattern": " ",
    "item_separator": ",",
    "key_separator": ":",
    "coerce_one_of": True,
}
_LIMITS = LLParserLimits(initial_lexer_fuel=1_000_000, max_grammar_size=200_000, verbose_errors=False)
# Where a schema holds further schemas: by name, in a list, or as the value itself.
_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")


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

        lenient: a keyword that cannot be obeyed is passed over instead of refused.
        Raises PromptError naming the part that is over a limit, contradicts itself or cannot be obeyed.
        """
        text = _checked_text(schema, path)
        return self._compiled((text, lenient), lambda: self._compile_json(schema, path, lenient))

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
        matcher = self._try_json(schema, lenient)
        if not matcher.is_error():
            return matcher
        guilty, error = self._guilty_part(schema, path, lenient, str(matcher.get_error()))
        raise PromptError(f"{guilty}: this schema cannot be obeyed: {_one_line(error)}")

    def _try_json(self, schema: Any, lenient: bool) -> LLMatcher:
        options: Any = {**_JSON_OPTIONS, "lenient": lenient}
        try:
            source = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=options)
        except ValueError as error:
            raise PromptError(f"the schema is not JSON: {_one_line(str(error))}") from None
        return self._matcher(source)

    def _matcher(self, source: str) -> LLMatcher:
        return LLMatcher(self._tokens, source, log_level=0, limits=_LIMITS)

    def _guilty_part(self, schema: Any, path: str, lenient: bool, error: str) -> tuple[str, str]:
        """The path of the smallest part that fails by itself, and how it fails."""
        definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        part, left = schema, _MAX_PARTS_SEARCHED
        searching = True
        while searching:
            searching = False
            for name, child in _parts_of(part):
                left -= 1
                if left < 0 or not isinstance(child, Mapping):
                    continue
                matcher = self._try_json({**definitions, **child}, lenient)
                if matcher.is_error():
                    part, path, error, searching = child, f"{path}.{name}", str(matcher.get_error()), True
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


def _checked_text(schema: Mapping[str, Any], path: str) -> str:
    """The schema as JSON text, its limits checked. Raises PromptError."""
    _check_depth(schema, path)
    text = json.dumps(schema, sort_keys=False, ensure_ascii=False)
    if len(text) > MAX_SCHEMA_CHARS:
        raise PromptError(f"{path}: a schema of {len(text)} characters, expected at most {MAX_SCHEMA_CHARS}")
    return text


def _check_depth(schema: Any, path: str) -> None:
    """Depth, and patterns under one `allOf`, without recursion: the schema may be built to exhaust the stack."""
    open_parts: list[tuple[Any, int, str]] = [(schema, 1, path)]
    while open_parts:
        part, depth, at = open_parts.pop()
        if depth > MAX_SCHEMA_DEPTH:
            raise PromptError(f"{path}: a schema nested more than {MAX_SCHEMA_DEPTH} levels deep; flatten it")
        if isinstance(part, Mapping):
            if "allOf" in part and _num_patterns(part["allOf"]) > MAX_INTERSECTED_PATTERNS:
                raise PromptError(
                    f"{at}.allOf: more than {MAX_INTERSECTED_PATTERNS} patterns that must hold together; use fewer"
                )
            open_parts.extend((child, depth + 1, f"{at}.{key}") for key, child in part.items())
        elif isinstance(part, list):
            open_parts.extend((child, depth + 1, f"{at}[{index}]") for index, child in enumerate(part))


def _num_patterns(part: Any) -> int:
    count, open_parts = 0, [part]
    while open_parts:
        item = open_parts.pop()
        if isinstance(item, Mapping):
            count += sum(key in ("pattern", "format") for key in item)
            open_parts.extend(item.values())
        elif isinstance(item, list):
            open_parts.extend(item)
    return count


def _parts_of(schema: Any) -> Iterator[tuple[str, Any]]:
    for key in _MAPS_OF_SCHEMAS:
        if isinstance(schema.get(key), Mapping):
            yield from ((f"{key}.{name}", child) for name, child in schema[key].items())
    for key in _LISTS_OF_SCHEMAS:
        if isinstance(schema.get(key), list):
            yield from ((f"{key}[{index}]", child) for index, child in enumerate(schema[key]))
    for key in _SCHEMAS:
        if key in schema:
            yield key, schema[key]


def _one_line(error: str) -> str:
    line = " ".join(error.split())
    return line if len(line) <= 300 else line[:300] + "..."
