"""Tools a request declares: OpenAI-style dictionaries checked once and kept as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moonlet.errors import PromptError

# Any name the model can write back between "functions." and ":0" and that TypeScript can declare.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,255}")
MAX_TOOLS = 1024
"""More than any agent declares; each costs a grammar and a place in the prompt."""


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """A function the model may call. `parameters` is its JSON Schema, which arguments are held to if `strict`;
    `declared` the object exactly as it was given, since the prompt shows that and not our reading of it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool
    declared: Mapping[str, Any] = field(repr=False)


def parse_tools(data: Any) -> tuple[ToolDeclaration, ...]:
    """OpenAI-style `tools` as values. Raises PromptError naming the field, what was found and what is expected."""
    if data is None:
        return ()
    if not isinstance(data, list | tuple):
        raise PromptError(f"tools: found a {type(data).__name__}, expected a list")
    if len(data) > MAX_TOOLS:
        raise PromptError(f"tools: found {len(data)}, expected at most {MAX_TOOLS}")
    tools: dict[str, ToolDeclaration] = {}
    for index, item in enumerate(data):
        tool = _tool(item, f"tools[{index}]")
        if tool.name in tools:
            raise PromptError(f"tools[{index}].function.name: function name {tool.name} is duplicated")
        tools[tool.name] = tool
    return tuple(tools.values())


def _tool(data: Any, path: str) -> ToolDeclaration:
    if not isinstance(data, Mapping):
        raise PromptError(f"{path}: found a {type(data).__name__}, expected an object")
    if data.get("type") == "builtin_function":
        raise PromptError(f"{path}.type: 'builtin_function' runs on Moonshot's service; declare a function instead")
    if data.get("type") != "function":
        raise PromptError(f"{path}.type: found {_shown(data.get('type'))}, expected 'function'")
    function = data.get("function")
    if not isinstance(function, Mapping):
        raise PromptError(f"{path}.function: missing, expected an object with name, description and parameters")
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PromptError(
            f"{path}.function.name: found {_shown(name)}, expected a letter or underscore, then up to 255 letters, "
            "digits, underscores, dots or hyphens"
        )
    description, parameters, strict = function.get("description"), function.get("parameters"), function.get("strict")
    if description is not None and not isinstance(description, str):
        raise PromptError(f"{path}.function.description: found a {type(description).__name__}, expected text")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise PromptError(f"{path}.function.parameters: found a {type(parameters).__name__}, expected a JSON Schema")
    if strict is not None and not isinstance(strict, bool):
        raise PromptError(f"{path}.function.strict: found a {type(strict).__name__}, expected true or false")
    return ToolDeclaration(name, description or "", parameters or {}, strict is not False, data)


def _shown(value: Any) -> str:
    """A wrong value, cut: whoever sent a megabyte need not get it back."""
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."
