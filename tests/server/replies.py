"""Replies for the reciting model, special tokens spelt out, and the tools they call."""

from __future__ import annotations

from typing import Any

USER = [{"role": "user", "content": "hi"}]
SECTION, END_SECTION = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
Q = '{"q": "x"}'
FIND: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "find",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
    },
}


def one_call(name: str, index: int, arguments: str) -> str:
    return f"<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"


CALL = f"Look.</think>{SECTION}{one_call('find', 0, Q)}{END_SECTION}"
TWO_CALLS = f"Hm.</think>{SECTION}{one_call('find', 0, Q)}{one_call('find', 1, Q)}{END_SECTION}"
