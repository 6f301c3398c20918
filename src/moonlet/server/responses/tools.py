"""Tools of the Responses API as functions, and the way back from a function to the tool it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moonlet.chat.tools import ToolDeclaration, parse_tools
from moonlet.engine.turn import ToolChoice
from moonlet.errors import PromptError

_CUSTOM_PARAMETERS = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.\-]")


@dataclass(frozen=True, slots=True)
class ToolOrigin:
    """What a client knows a function as. namespace: the group it was declared in.  is_custom: it takes plain text."""

    name: str
    namespace: str | None = None
    is_custom: bool = False


class ToolTable:
    """The tools of one request: what the model sees, and what each of them was."""

    def __init__(self, data: list[Any]) -> None:
        """Tools that run on somebody's server are passed over. Raises PromptError."""
        self._origins: dict[str, ToolOrigin] = {}
        functions: list[dict[str, Any]] = []
        for index, tool in enumerate(data):
            functions.extend(self._functions(tool, f"tools[{index}]", None))
        self.declared: tuple[ToolDeclaration, ...] = parse_tools(functions)

    def origin(self, function: str) -> ToolOrigin:
        """What the client declared under what the model calls `function`."""
        return self._origins.get(function, ToolOrigin(function))

    def function(self, name: str, namespace: str | None) -> str:
        """What the model calls the tool of that name."""
        return name if namespace is None else _joined(namespace, name)

    def without_missing(self, choice: ToolChoice) -> ToolChoice:
        """`choice` without the names of tools that were passed over, where it allows several."""
        if choice.names is None or choice.mode == "required":
            return choice
        return ToolChoice(choice.mode, choice.names & {tool.name for tool in self.declared})

    def _functions(self, tool: Any, path: str, namespace: str | None) -> list[dict[str, Any]]:
        if not isinstance(tool, Mapping):
            raise PromptError(f"{path}: expected an object")
        match tool.get("type"):
            case "namespace" if namespace is None:
                name, inner = tool.get("name"), tool.get("tools")
                if not isinstance(name, str) or not isinstance(inner, list):
                    raise PromptError(f"{path}: a namespace needs a name and a list of tools")
                nested = (self._functions(item, f"{path}.tools[{i}]", name) for i, item in enumerate(inner))
                return [function for functions in nested for function in functions]
            case "function":
                return [self._function(tool, path, namespace, tool.get("parameters"), is_custom=False)]
            case "custom":
                return [self._function(tool, path, namespace, _CUSTOM_PARAMETERS, is_custom=True)]
        return []

    def _function(
        self, tool: Mapping[str, Any], path: str, namespace: str | None, parameters: Any, *, is_custom: bool
    ) -> dict[str, Any]:
        name = tool.get("name")
        if not isinstance(name, str):
            raise PromptError(f"{path}.name: missing, expected a name")
        function = self.function(name, namespace)
        self._origins[function] = ToolOrigin(name, namespace, is_custom)
        declared = {"name": function, "parameters": parameters}
        declared.update((key, tool[key]) for key in ("description", "strict") if key in tool)
        return {"type": "function", "function": declared}


def _joined(namespace: str, name: str) -> str:
    return _NOT_IN_A_NAME.sub("_", f"{namespace}__{name}")
