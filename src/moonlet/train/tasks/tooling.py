"""Tools as the problems declare and call them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a tool. type: JSON Schema's name of it. values: the only ones allowed, where given."""

    name: str
    type: str = "string"
    description: str = ""
    required: bool = True
    values: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        schema: dict[str, Any] = {"type": self.type}
        if self.description:
            schema["description"] = self.description
        if self.values:
            schema["enum"] = list(self.values)
        return schema


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]

    def declared(self, strict: bool = True) -> dict[str, Any]:
        """OpenAI-style. strict: whether sampling is to hold arguments to the schema; the prompt does not show it."""
        parameters = {
            "type": "object",
            "properties": {one.name: one.schema() for one in sorted(self.parameters, key=lambda one: one.name)},
            "required": [parameter.name for parameter in self.parameters if parameter.required],
        }
        function: dict[str, Any] = {"name": self.name, "parameters": parameters, "strict": strict}
        if self.description:
            function["description"] = self.description
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Call:
    """A call and what the tool gives back.

    arguments: their JSON text. work: what is needed and which tool has it, thought in thinking mode, said in the other.
    """

    name: str
    arguments: str
    result: str
    work: str


def as_json(tool: Tool, values: Iterable[object]) -> str:
    """The arguments of a call, values in the order of the tool's parameters, keys in the order the prompt shows."""
    pairs = zip((parameter.name for parameter in tool.parameters), values, strict=True)
    return json.dumps(dict(sorted(pairs)))


def looked_through(need: str, tools: Sequence[Tool], chosen: str | None) -> str:
    """The tools in the order of their declaration, each with its verdict, up to the chosen one, or all of them.

    A name is easily judged once it is written; the right one among five could not be told at its first letter.
    """
    names = [tool.name for tool in tools]
    passed = names if chosen is None else names[: names.index(chosen)]
    verdicts = [f"{name} no" for name in passed] + ([] if chosen is None else [f"{chosen} yes"])
    return f"The {need}: {', '.join(verdicts)}."
