"""Tool declarations as TypeScript, in exactly the text K2.5 was trained to read.

The official tokenizer turns JSON Schema into TypeScript types before the chat template runs. The model has seen that
text and no other, so its habits are kept where TypeScript would differ: enum strings are not escaped, booleans and null
print as Python spells them, and `anyOf` drops the comments of its branches. A schema it cannot express is refused; the
chat template then shows the whole list as JSON, as the official tokenizer does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from moonlet.errors import PromptError

INDENT = "  "
# Deep enough for any real schema, shallow enough for the call stack: tool declarations come from outside.
MAX_SCHEMA_DEPTH = 100

_SHOWN_CONSTRAINTS: Mapping[str, tuple[str, ...]] = {
    "string": ("maxLength", "minLength", "pattern"),
    "number": ("maximum", "minimum"),
    "integer": ("maximum", "minimum"),
    "array": ("maxItems", "minItems"),
}
_UNION_MEMBERS: Mapping[str, str] = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
    "object": "{}",
    "array": "Array<any>",
}
_ENUM_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "string": (str, "a string"),
    "number": ((int, float), "a number"),
    "integer": (int, "an integer"),
    "boolean": (bool, "a boolean"),
}


def declare_tools_ts(tools: Sequence[Mapping[str, Any]]) -> str:
    """The TypeScript declaration of `tools` (OpenAI-style objects); "" if none of them is a function.

    Keys are sorted at every level first, as the chat path does, so equal tools give equal text. Raises PromptError for
    a schema that has no declaration (a node with neither type, anyOf, enum nor $ref; a reference outside #/$defs/).
    Source: Moonshot's published `tool_declaration_ts.py`, by its observable output.
    """
    declared: list[str] = []
    for tool in map(sort_keys, tools):
        function = tool.get("function") if tool.get("type") == "function" else None
        if isinstance(function, Mapping) and function:
            declared.append(_declare_function(function))
    if not declared:
        return ""
    return "# Tools\n\n## functions\nnamespace functions {\n" + "\n".join(declared) + "\n}\n"


def sort_keys(value: Any, depth: int = 0) -> Any:
    """`value` (JSON) with the keys of every object in order. Raises PromptError if it is nested too deeply."""
    if depth > MAX_SCHEMA_DEPTH:
        raise PromptError(f"tools: nested more than {MAX_SCHEMA_DEPTH} levels deep; flatten the schema")
    if isinstance(value, Mapping):
        return {key: sort_keys(value[key], depth + 1) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [sort_keys(item, depth + 1) for item in value]
    return value


def _declare_function(function: Mapping[str, Any]) -> str:
    parameters = function.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise PromptError(f"tool parameters: found {parameters!r}, expected a JSON Schema object")
    writer = _TypeWriter()
    body = writer.object_type(parameters, indent="")
    lines: list[str] = []
    if writer.refers_to_root:
        # This interface alone keeps the order of the schema instead of putting required fields first.
        fields = ",\n".join(writer.fields(parameters, indent=INDENT, required_first=False))
        lines.append("interface parameters {" + (f"\n{fields}\n" if fields else "") + "}")
        body = "parameters"
    for name, schema in list(writer.definitions.items()):
        lines.append(_comment(schema, "") + f"interface {name} {writer.type_text(schema, '')}")
    signature = f"type {function.get('name', 'function')} = (_: {body}) => any;"
    lines.append(_comment({"description": function.get("description")}, "") + signature)
    return "\n".join(lines)


class _TypeWriter:
    """Writes the types of one function; remembers the `$defs` met on the way: a reference may name any of them."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}
        self.refers_to_root = False

    def type_text(self, schema: Any, indent: str) -> str:
        """The type of one schema node, whose closing bracket stands at `indent`."""
        if isinstance(schema, bool):
            return "any" if schema else "null"
        if not isinstance(schema, Mapping):
            raise PromptError(f"Invalid JSON Schema object: {schema!r}")
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        if "anyOf" in schema:
            return " | ".join(self.type_text(branch, indent) for branch in _list(schema, "anyOf"))
        if "enum" in schema:
            return _enum_text(schema)
        if "type" in schema:
            return self._typed(schema, indent)
        if not schema:
            return "any"
        raise PromptError(f"Invalid JSON Schema object: {dict(schema)}")

    def object_type(self, schema: Mapping[str, Any], indent: str) -> str:
        """An object type: required fields by name, then optional ones by name, then additional properties."""
        definitions = schema.get("$defs")
        if isinstance(definitions, Mapping):
            self.definitions.update(definitions)
        fields = self.fields(schema, indent + INDENT, required_first=True)
        additional = schema.get("additionalProperties")
        if additional is not None:
            text = "never" if additional is False else self.type_text(additional, indent + INDENT)
            fields.append(f"{indent}{INDENT}[k: string]: {text}")
        return "{\n" + ",\n".join(fields) + f"\n{indent}}}" if fields else "{}"

    def fields(self, schema: Mapping[str, Any], indent: str, *, required_first: bool) -> list[str]:
        """The properties of an object, one text each, comments included."""
        properties = schema.get("properties", {})
        if not isinstance(properties, Mapping):
            raise PromptError(f"Invalid JSON Schema object: {dict(schema)}")
        required = set(map(str, _list(schema, "required")))
        names = sorted(properties, key=lambda name: (name not in required, name)) if required_first else properties
        return [self._field(name, properties[name], indent, name not in required) for name in names]

    def _field(self, name: str, schema: Any, indent: str, optional: bool) -> str:
        text = self.type_text(schema, indent)
        comment = _comment(schema, indent)
        default = schema.get("default") if isinstance(schema, Mapping) else None
        if default is not None:
            shown = json.dumps(default, ensure_ascii=False) if isinstance(default, str | list | dict) else str(default)
            comment += f"{indent}// Default: {shown}\n"
        return f"{comment}{indent}{name}{'?' if optional else ''}: {text}"

    def _typed(self, schema: Mapping[str, Any], indent: str) -> str:
        kind = schema["type"]
        if isinstance(kind, list):
            return " | ".join(_UNION_MEMBERS.get(str(member), str(member)) for member in kind)
        if kind == "object":
            return self.object_type(schema, indent)
        if kind == "array":
            return self._array(schema.get("items"), indent)
        return "number" if kind == "integer" else str(kind)

    def _array(self, items: Any, indent: str) -> str:
        if not items:
            return "Array<any>"
        comment = _comment(items, indent + INDENT)
        if not comment:
            return f"Array<{self.type_text(items, indent)}>"
        return f"Array<\n{comment}{indent}{INDENT}{self.type_text(items, indent + INDENT)}\n{indent}>"

    def _reference(self, target: Any) -> str:
        if target == "#":
            self.refers_to_root = True
            return "parameters"
        if not isinstance(target, str) or not target.startswith("#/$defs/"):
            raise PromptError(f"Unsupported reference format: {target}")
        name = target.rsplit("/", 1)[-1]
        if name not in self.definitions:
            raise PromptError(f"Reference not found: {target}")
        return name


def _comment(schema: Any, indent: str) -> str:
    """The comment lines above a node: its description, then the constraints shown for its type. Blank lines stay so."""
    if not isinstance(schema, Mapping):
        return ""
    lines: list[str] = []
    description = schema.get("description")
    if description:
        lines += [f"{indent}// {line}" if line else "" for line in str(description).split("\n")]
    kind = schema.get("type")
    if isinstance(kind, str) and not schema.keys() & {"$ref", "anyOf", "enum"}:
        shown = [f"{key}: {schema[key]}" for key in _SHOWN_CONSTRAINTS.get(kind, ()) if key in schema]
        if shown:
            lines.append(f"{indent}// {', '.join(shown)}")
    return "".join(line + "\n" for line in lines)


def _enum_text(schema: Mapping[str, Any]) -> str:
    values = _list(schema, "enum")
    kind = schema.get("type")
    if isinstance(kind, list):
        named = [member for member in kind if member != "null"]
        if len(named) != 1 or len(kind) > 2:
            raise PromptError(f"Enum type {kind} is not supported")
        kind = named[0]
    expected, described = _ENUM_TYPES.get(str(kind), (object, ""))
    for value in values:
        if value is not None and not isinstance(value, expected):
            raise PromptError(f"Enum value {value} is not {described}")
    return " | ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    value = schema.get(key, [])
    if not isinstance(value, list):
        raise PromptError(f"Invalid JSON Schema object: {dict(schema)}")
    return value
