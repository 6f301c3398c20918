"""Replies the parser must understand: as K2.5 should write them, and in the ways it has been seen to deviate."""

from __future__ import annotations

from dataclasses import dataclass

from .transcripts import Parsed

BEGIN, END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
WRITTEN_BEGIN, WRITTEN_END = "<|tool_call_section_begin|>", "<|tool_call_section_end|>"
CALL, ARGS, DONE = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
STOP = "<|im_end|>"

F0 = ("functions.f:0", "f", '{"a": 1}')
F0_EMPTY = ("functions.f:0", "f", "")
G1 = ("functions.g:1", "g", '{"a": 1}')


def call(header: str = "functions.f:0", arguments: str = '{"a": 1}') -> str:
    return f"{CALL}{header}{ARGS}{arguments}{DONE}"


@dataclass(frozen=True)
class Reply:
    name: str
    text: str
    expected: Parsed
    thinking: bool


def thought(name: str, text: str, reasoning: str = "", content: str = "", *calls: tuple[str, str, str]) -> Reply:
    """A reply to a prompt that ends inside an open <think>."""
    return Reply(name, text, Parsed(reasoning, content, list(calls)), thinking=True)


def instant(name: str, text: str, content: str = "", *calls: tuple[str, str, str]) -> Reply:
    """A reply to a prompt that ends after <think></think>."""
    return Reply(name, text, Parsed("", content, list(calls)), thinking=False)


MULTILINE = '{\n "a":\n\n1}\n'
SPELT = f'{{"t": "{WRITTEN_BEGIN}{WRITTEN_END}<"}}'

REPLIES = [
    thought("thinking, then answer", f" why \n</think>\n\nbecause{STOP}", " why \n", "\n\nbecause"),
    instant("instant", f"yes{STOP}", "yes"),
    thought("no end of turn", "a</think>b", "a", "b"),
    thought("only thinking", "a", "a"),
    thought("nothing", ""),
    instant("only the end of turn", STOP),
    instant("[EOS] ends the reply", "a[EOS]b", "a"),
    instant("[EOT] ends the reply", "a[EOT]b", "a"),
    instant("text after the end of turn", f"a{STOP}b<think>c", "a"),
    thought("think opened again", f"<think>a</think>b{STOP}", "a", "b"),
    thought("think opened within thinking", f"a<think>b</think>c{STOP}", "ab", "c"),
    instant("think in instant mode", f"<think>a</think>b{STOP}", "ab"),
    thought("think in content", f"a</think>b<think>c</think>d{STOP}", "a", "bcd"),
    instant("control tokens", "a<|im_user|>b<|media_pad|>[PAD]<|reserved_token_389|>c", "abc"),
    instant("stray tool markers", f"a{ARGS}b{DONE}c{END}d", "abcd"),
    # Tool sections as they should be.
    thought("one call", f"t</think>c{BEGIN}{call()}{END}{STOP}", "t", "c", F0),
    instant("several calls", f"{BEGIN}{call()}{call('functions.g:1')}{END}{STOP}", "", F0, G1),
    instant("two sections", f"{BEGIN}{call()}{END}{BEGIN}{call('functions.g:1')}{END}", "", F0, G1),
    instant(
        "text between calls and after the section",
        f"c{BEGIN}\n x {call()}\n and {call('functions.g:1')} then{END}more</think>{STOP}",
        "c", F0, G1,
    ),
    instant("arguments over several lines", BEGIN + call("f:0", MULTILINE), "", ("functions.f:0", "f", MULTILINE)),
    instant("markers spelt in arguments", BEGIN + call("f:0", SPELT), "", ("functions.f:0", "f", SPELT)),
    thought(
        "characters of many bytes",
        f"é你</think>😀{BEGIN}{call('函数:0', '🧑🏾‍🤝‍🧑🏾')}",
        "é你", "😀", ("functions.函数:0", "函数", "🧑🏾‍🤝‍🧑🏾"),
    ),
    # Sections where they should not be.
    thought("section inside thinking", f"t{BEGIN}{call()}{END}{STOP}", "t", "", F0),
    thought("call inside thinking, no section", f"t{call()}{STOP}", "t", "", F0),
    instant("call in content, no section", f"c{call()}{STOP}", "c", F0),
    # The singular spelling, for which there is no token.
    instant("singular", f"c{WRITTEN_BEGIN}{call()}{WRITTEN_END}{STOP}", "c", F0),
    instant("singular, blanks", f"c{WRITTEN_BEGIN}\n {call()}\n{WRITTEN_END}{STOP}", "c", F0),
    thought("singular in thinking", f"t{WRITTEN_BEGIN}{call()}{WRITTEN_END}{STOP}", "t", "", F0),
    instant("singular, no call begin", f'c{WRITTEN_BEGIN}functions.f:0{ARGS}{{"a": 1}}{DONE}', "c", F0),
    instant("both spellings", f"c{WRITTEN_BEGIN}{BEGIN}{call()}{END}", "c", F0),
    instant("singular explained", f"{WRITTEN_BEGIN} opens a section", f"{WRITTEN_BEGIN} opens a section"),
    instant(
        "singular explained, then used",
        f"as {WRITTEN_BEGIN} does:{WRITTEN_BEGIN}{call()}",
        f"as {WRITTEN_BEGIN} does:", F0,
    ),
    instant("singular before the end", f"c{WRITTEN_BEGIN}{STOP}", "c"),
    instant("singular before a word", f"c{WRITTEN_BEGIN}word{STOP}", "cword"),
    instant("almost singular", f"a<<|<|tool_calls>< b {WRITTEN_END}", f"a<<|<|tool_calls>< b {WRITTEN_END}"),
    instant("a less-than sign at the end", "1 <", "1 <"),
    # Ids.
    instant("name and index", BEGIN + call("f:0"), "", F0),
    instant("name only", BEGIN + call("f"), "", F0),
    instant("prefix and name", BEGIN + call("functions.f"), "", F0),
    instant("blanks around the id", BEGIN + call(" \nfunctions.f:0\n"), "", F0),
    instant("dots and hyphens", BEGIN + call("functions.a-b.v2:3"), "", ("functions.a-b.v2:3", "a-b.v2", '{"a": 1}')),
    instant("an id given twice", BEGIN + call() + call(), "", F0, ("functions.f:1", "f", '{"a": 1}')),
    instant("no name", f"c{BEGIN}{call('')}{call(':0')}{call('functions.')}{call('f')}", "c", F0),
    instant("a name without end", f"c{BEGIN}{CALL}{'x' * 400}{ARGS}y{DONE}{call('f')}", "c", F0),
    # Markers left out.
    instant("no argument marker", f'{BEGIN}{CALL}functions.f:0{{"a": 1}}{DONE}', "", F0),
    instant("no arguments", f"{BEGIN}{CALL}functions.f:0{DONE}", "", F0_EMPTY),
    instant("no arguments, section ends", f"{BEGIN}{CALL}f:0{END}", "", F0_EMPTY),
    instant("no arguments, turn ends", f"{BEGIN}{CALL}f:0{STOP}", "", F0_EMPTY),
    instant("no call end", f'{BEGIN}{CALL}f:0{ARGS}{{"a": 1}}{END}', "", F0),
    instant("no call end, next call", f'{BEGIN}{CALL}f:0{ARGS}{{"a": 1}}{call("g")}', "", F0, G1),
    instant("no call end, turn ends", f'{BEGIN}{CALL}f:0{ARGS}{{"a": 1}}{STOP}', "", F0),
    instant("no call begin in a section", f'{BEGIN}some f:0{ARGS}{{"a": 1}}{DONE}', "", F0),
    instant("cut inside an id", f"c{BEGIN}{CALL}functions.get_wea", "c"),
    instant("cut inside arguments", f'c{BEGIN}{CALL}f:0{ARGS}{{"a', "c", ("functions.f:0", "f", '{"a')),
]  # fmt: skip
