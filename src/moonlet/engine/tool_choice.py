"""`tool_choice` of the OpenAI-style APIs as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from moonlet.engine.turn import ToolChoice
from moonlet.errors import PromptError

_MODES = ("auto", "none", "required")


def parse_tool_choice(choice: str | Mapping[str, Any] | None) -> ToolChoice:
    """A mode by its name, one function by its name, or `allowed_tools`. Raises PromptError for anything else."""
    match choice:
        case None:
            return ToolChoice()
        case str() if choice in _MODES:
            return ToolChoice(cast(Any, choice))
        case {"type": "function", "function": {"name": str() as name}} | {"type": "function", "name": str() as name}:
            return ToolChoice("required", frozenset({name}))
        case {"type": "custom", "custom": {"name": str() as name}} | {"type": "custom", "name": str() as name}:
            return ToolChoice("required", frozenset({name}))
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list() as tools}}:
            return _allowed(mode, tools)
        case {"type": "allowed_tools", "mode": mode, "tools": list() as tools}:
            return _allowed(mode, tools)
    shown = repr(choice) if isinstance(choice, str) and len(choice) <= 40 else "something else"
    raise PromptError(
        f"tool_choice: found {shown}, expected auto, none, required, a function by its name, or allowed_tools"
    )


def _allowed(mode: object, tools: list[Any]) -> ToolChoice:
    if mode not in ("auto", "required"):
        raise PromptError(f"tool_choice.mode: found {mode!r}, expected 'auto' or 'required'")
    names: set[str] = set()
    for index, tool in enumerate(tools):
        match tool:
            case {"function": {"name": str() as name}} | {"name": str() as name}:
                names.add(name)
            case _:
                raise PromptError(f"tool_choice.tools[{index}]: expected a function by its name")
    return ToolChoice(cast(Any, mode), frozenset(names))
