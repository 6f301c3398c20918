"""Templates that try what they may not: each ends in one TemplateError that names the file and the line."""

from __future__ import annotations

import pytest

from moonlet.chat.messages import parse_messages
from moonlet.chat.sandbox import MAX_SOURCE_CHARS
from moonlet.chat.template import ChatTemplate
from moonlet.chat.tokenizer import Tokenizer
from moonlet.errors import PromptError, TemplateError

HI = parse_messages([{"role": "user", "content": "hi"}])
DOUBLE = "{%% set n = namespace(s='x') %%}{%% for i in range(60) %%}%s{%% endfor %%}{{ n.s | length }}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ (1).__class__.__mro__ }}", "unsafe"),
        ("{{ ''.format.__globals__.x }}", "unsafe|undefined"),
        ("{{ '{:>1000000000}'.format(1) }}", "formats text with 'format'"),
        ("{{ messages[0].content.format_map({}) }}", "formats text with 'format'"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% include 'other' %}", "no loader"),
        ("\n\n{{ missing.field }}", "line 3: 'missing' is undefined"),
        ("a\n{% for m in messages %}\n{{ m.content + 1 }}{% endfor %}", "line 3: can only concatenate str"),
        ("\n{{ 1 / 0 }}", "line 2: division by zero"),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "recursion"),
        ("{{ 'x' * 1000000000 }}", "builds more than"),
        ("{{ [1] * 1000000000 }}", "builds more than"),
        (DOUBLE % "{% set n.s = n.s ~ n.s %}", "builds more than"),
        (DOUBLE % "{% set n.s = n.s + n.s %}", "builds more than"),
        (DOUBLE % "{% set n.s = [n.s, n.s] | join %}", "builds more than"),
        (DOUBLE % "{% set n.s = ''.join([n.s, n.s]) %}", "builds more than"),
        (DOUBLE % "{% set n.s = n.s | replace('x', 'xx') %}", "builds more than"),
        (DOUBLE % "{% set n.s = n.s.replace('x', 'xx') %}", "builds more than"),
        (DOUBLE % "{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}", "builds more than"),
        ("{% macro m(n) %}{% if n %}{{ m(n-1) ~ m(n-1) }}{% else %}xxxx{% endif %}{% endmacro %}{{ m(40) }}", "steps"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "takes more steps"),
        ("{{ range(100000000) | list }}", "range of more than"),
        ("{{ 'x'.ljust(10000000000) }}", "unsafe"),
        ("{{ 'x' | center(10000000000) }}", "No filter named 'center'"),
        ("{{ '%1000000000d' % 1 }}", "formats text with '%'"),
        ("{{ 9 ** 9 ** 9 }}", "uses '\\*\\*'"),
        ("{{ strftime_now('%999999999d') }}", "asks for the date"),
        ("{{ [1] | tojson(indent=100000000) }}", "indents JSON"),
    ],
)
def test_a_template_beyond_its_limits_is_stopped(source: str, message: str, tiny: Tokenizer) -> None:
    with pytest.raises(TemplateError, match=message) as caught:
        ChatTemplate(source, tiny, "chat_template.jinja").render(HI)
    assert str(caught.value).startswith("chat_template.jinja: line ")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% if %}", "x.jinja: line 1: Expected an expression"),
        ("\n\n{% endfor %}", "x.jinja: line 3: Encountered unknown tag 'endfor'"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "x.jinja: cannot be compiled"),
        ("x" * (MAX_SOURCE_CHARS + 1), "x.jinja: 1000001 characters, expected at most 1000000"),
    ],
)
def test_a_template_that_does_not_parse_is_refused(source: str, message: str, tiny: Tokenizer) -> None:
    with pytest.raises(TemplateError, match=message):
        ChatTemplate(source, tiny, "x.jinja")


def test_a_template_may_refuse_a_conversation_in_its_own_words(tiny: Tokenizer) -> None:
    with pytest.raises(PromptError, match="the chat template refuses this conversation: roles must alternate"):
        ChatTemplate("{{ raise_exception('roles must alternate') }}", tiny).render(HI)


def test_one_rendering_leaves_nothing_behind_for_the_next(tiny: Tokenizer) -> None:
    template = ChatTemplate("{% for i in range(999999) %}{% endfor %}{{ seen }}{% set seen = 1 %}", tiny)
    assert [template.render(HI).text for _ in range(15)] == [""] * 15


def test_a_long_conversation_stays_within_the_budget(tiny_template: ChatTemplate) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}] * 2000
    assert tiny_template.render(parse_messages(turns)).text.count("<|im_end|>") == 4000
