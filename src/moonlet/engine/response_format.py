"""`response_format` and its relatives as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moonlet.engine.turn import ANY_OBJECT, JsonOutput
from moonlet.errors import PromptError


def parse_response_format(data: Mapping[str, Any] | None) -> JsonOutput | None:
    """`response_format` of chat completions. Raises PromptError naming what is missing or wrong."""
    if data is None:
        return None
    kind = data.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return JsonOutput(ANY_OBJECT)
    if kind != "json_schema":
        raise PromptError(f"response_format.type: found {kind!r}, expected text, json_object or json_schema")
    inner = data.get("json_schema")
    if not isinstance(inner, Mapping):
        raise PromptError("response_format.json_schema: missing, expected an object with name and schema")
    return parse_json_schema(inner, "response_format.json_schema")


def parse_json_schema(data: Mapping[str, Any], path: str, *, needs_name: bool = True) -> JsonOutput:
    """An object {name, schema, strict?}. Not strict: any JSON object. Raises PromptError."""
    if needs_name and (not isinstance(data.get("name"), str) or not data["name"]):
        raise PromptError(f"{path}.name: missing, expected a name for the schema")
    schema, strict = data.get("schema"), data.get("strict")
    if not isinstance(schema, Mapping):
        raise PromptError(f"{path}.schema: missing, expected a JSON Schema object")
    if strict is not None and not isinstance(strict, bool):
        raise PromptError(f"{path}.strict: found a {type(strict).__name__}, expected true or false")
    return JsonOutput(ANY_OBJECT if strict is False else schema, f"{path}.schema")
