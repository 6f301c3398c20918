"""A Jinja environment for templates that come with a checkpoint: nothing but the template runs, and within limits.

jinja2's own sandbox keeps a template away from Python's internals. What it leaves open is exhaustion: a short template
can count for hours or build a string larger than the machine. So loop turns and calls spend from a budget of steps, and
the ways to join or repeat text check the size of the result before it is built. This stops mistakes and the plain
attacks; it is no promise against a template written to exhaust memory through nested lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from jinja2 import Template, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

_T = TypeVar("_T")

MAX_SOURCE_CHARS = 1_000_000
MAX_OUTPUT_CHARS = 64_000_000
# A step is about what one turn of an empty loop takes; calls and JSON values take as many as measured beside that. The
# fixed part lasts some seconds, the rest grows with the conversation: ours takes about 300 steps a message.
MAX_STEPS, STEPS_PER_MESSAGE = 10_000_000, 2_000
_STEPS_PER_CALL, _STEPS_PER_JSON_VALUE = 20, 5
_MAX_RANGE = 1_000_000
_MAX_DIGITS = 1_000

# Names under which a rendering hands its own state to the environment; a template cannot spell them.
_BUDGET = "moonlet budget"
_UNESCAPE = "moonlet unescape"
_LIMIT_ITERABLE, _LIMIT_JOIN = "moonlet_limit_iterable", "moonlet_limit_join"

# Padding to a width of the template's choosing is memory of its choosing, and no chat template needs it.
_PADDING_METHODS = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
_PADDING_FILTERS = ("center", "format", "indent", "wordwrap", "xmlattr", "pprint")


class RaisedByTemplateError(Exception):
    """The template called raise_exception(message): it refuses this conversation."""


@dataclass(slots=True)
class Budget:
    """Steps one rendering may still take."""

    steps_left: int

    def spend(self, num_steps: int = 1) -> None:
        self.steps_left -= num_steps
        if self.steps_left < 0:
            raise SecurityError("takes more steps than a prompt of this length may")


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Renders what `transformers` renders (same whitespace rules, helpers and filters), within limits."""

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _GenerationTag])
        self.concat = _limited_join  # type: ignore[method-assign]  # joins output, macro results and set blocks
        self.filters["tojson"] = _to_json
        self.filters["join"] = _limited_filter_join
        self.filters["replace"] = _limited_replace
        self.filters[_LIMIT_ITERABLE] = _limited_iterable
        self.filters[_LIMIT_JOIN] = _limited_concatenation
        for name in _PADDING_FILTERS:
            del self.filters[name]
        self.globals["range"] = _limited_range
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now
        for name in ("lipsum", "cycler", "joiner"):
            del self.globals[name]

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Limiter().visit(super()._parse(source, name, filename))
        return tree

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`+ * ** %` after a check of what they would build."""
        if operator == "*":
            for repeated, times in ((left, right), (right, left)):
                if isinstance(repeated, str | list | tuple) and isinstance(times, int):
                    _check_size(len(repeated) * max(times, 0))
        elif operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, type(left)):
            _check_size(len(left) + len(right))
        elif operator == "**":
            raise SecurityError("uses '**', which chat templates may not")
        elif operator == "%" and isinstance(left, str):
            raise SecurityError("formats text with '%', which chat templates may not")
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and result.bit_length() > 4 * _MAX_DIGITS:
            raise SecurityError(f"computes a number of more than {_MAX_DIGITS} digits")
        return result

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 (jinja2's own names)
        """Any call in a template, counted against its budget."""
        _budget(__context).spend(_STEPS_PER_CALL)
        return super().call(__context, _limited_method(__obj), *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format`, which jinja2 makes safe but which can pad to any width, refused when it is called."""
        return None if super().wrap_str_format(value) is None else _refuse_format

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Beside jinja2's rules, text has no methods that pad to a width."""
        if isinstance(obj, str) and attr in _PADDING_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)


def render_limited(template: Template, variables: Mapping[str, Any], unescape: Callable[[str], str]) -> str:
    """Render `template` with a fresh budget. `unescape` undoes ASCII escapes of protected characters in JSON."""
    budget = Budget(MAX_STEPS + STEPS_PER_MESSAGE * len(variables["messages"]))
    return template.render({**variables, _BUDGET: budget, _UNESCAPE: unescape})


class _Limiter(NodeTransformer):
    """Rewrites a parsed template so that loops count their turns and `~` checks the size of its result."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 (jinja2 dispatches on this name)
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _LIMIT_ITERABLE)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), _LIMIT_JOIN)


class _GenerationTag(Extension):
    """`{% generation %}...{% endgeneration %}` marks replies for training; for rendering it is its content."""

    tags = {"generation"}  # noqa: RUF012 (declared as a plain set by the base class)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    assert isinstance(node, nodes.Expr)
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _budget(context: Context) -> Budget:
    budget = context.parent[_BUDGET]
    assert isinstance(budget, Budget)
    return budget


@pass_context
def _limited_iterable(context: Context, values: Iterable[Any]) -> Iterable[Any]:
    budget = _budget(context)
    if isinstance(values, list | tuple | str | Mapping | range):
        # Sized values stay as they are, since `loop.length` and `loop.last` look at them; their turns are known now.
        budget.spend(len(values))
        return values
    return _counted(budget, values, 1)


def _counted(budget: Budget, values: Iterable[_T], num_steps: int) -> Iterator[_T]:
    for value in values:
        budget.spend(num_steps)
        yield value


def _check_size(num_items: int) -> None:
    if num_items > MAX_OUTPUT_CHARS:
        raise SecurityError(f"builds more than {MAX_OUTPUT_CHARS} characters")


def _limited_join(pieces: Iterable[str]) -> str:
    kept: list[str] = []
    total = 0
    for piece in pieces:
        total += len(piece)
        _check_size(total)
        kept.append(piece)
    return "".join(kept)


def _limited_concatenation(values: Iterable[Any]) -> str:
    return _limited_join(map(str, values))


def _limited_filter_join(values: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    found = values if attribute is None else (value[attribute] for value in values)
    texts = list(map(str, found))
    _check_size(sum(map(len, texts)) + len(str(d)) * len(texts))
    return str(d).join(texts)


def _limited_replace(value: Any, old: str, new: str, count: int | None = None) -> str:
    text, old, new = str(value), str(old), str(new)
    times = text.count(old) if count is None or count < 0 else min(text.count(old), count)
    _check_size(len(text) + times * len(new))
    return text.replace(old, new, -1 if count is None else count)


def _limited_method(obj: Any) -> Any:
    """`str.replace` and `str.join` taken from a text, as the checked functions above."""
    owner = getattr(obj, "__self__", None)
    if not isinstance(owner, str):
        return obj
    if obj.__name__ == "replace":
        return lambda old, new, count=None: _limited_replace(owner, old, new, count)
    if obj.__name__ == "join":
        return lambda values: _limited_filter_join(values, owner)
    return obj


def _limited_range(*bounds: int) -> range:
    values = range(*bounds)
    if len(values) > _MAX_RANGE:
        raise SecurityError(f"counts over a range of more than {_MAX_RANGE}")
    return values


@pass_context
def _to_json(
    context: Context,
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as `transformers` gives it: no HTML escapes, no ASCII escapes unless asked for."""
    if indent is not None and not 0 <= indent <= 16:
        raise SecurityError(f"indents JSON by {indent}, expected at most 16")
    encoder = json.JSONEncoder(ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    text = _limited_join(_counted(_budget(context), encoder.iterencode(value), _STEPS_PER_JSON_VALUE))
    unescape: Callable[[str], str] = context.parent[_UNESCAPE]
    return unescape(text) if ensure_ascii else text


def _refuse_format(*_: Any, **__: Any) -> NoReturn:
    raise SecurityError("formats text with 'format', which chat templates may not")


def _raise_exception(message: str) -> NoReturn:
    raise RaisedByTemplateError(str(message))


def _strftime_now(form: str) -> str:
    # A field width ("%999999999d") would be padding by another name.
    if re.search(r"%[^A-Za-z%]", form):
        raise SecurityError(f"asks for the date in the form {form!r}, expected plain %Y %m %d ... fields")
    return datetime.now().astimezone().strftime(form)
