"""JSON Schemas before they become grammars: their limits, their parts, and the references that lead nowhere.

A schema comes from outside. Everything here is bounded by the limits that `check_schema` enforces first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from moonlet.chat.references import is_local, target_of
from moonlet.errors import PromptError

MAX_SCHEMA_CHARS = 200_000
MAX_SCHEMA_DEPTH = 60
# Each pattern of an intersection may double the automaton: 8 take milliseconds, 20 were measured at 38 seconds.
MAX_INTERSECTED_PATTERNS = 8
# Whether each of them comes to an end is found by going round until nothing changes: at worst their number squared.
MAX_REFERENCES = 1000

# Where a schema holds further schemas: by name, in a list, or as the value itself.
_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")

# These say what a schema is called and where it comes from, not what it allows.
SCHEMA_NAMES = ("$id", "$schema")
_MOVED = "#/$defs/whole"

SchemaPath = tuple[str | int, ...]
"""The keys that lead from a schema to a part of it."""


def check_schema(schema: Mapping[str, Any], path: str) -> str:
    """The schema as JSON text, its limits checked. path: where it stands in the request. Raises PromptError."""
    _check_depth(schema, path)
    text = json.dumps(schema, sort_keys=False, ensure_ascii=False)
    if len(text) > MAX_SCHEMA_CHARS:
        raise PromptError(f"{path}: a schema of {len(text)} characters, expected at most {MAX_SCHEMA_CHARS}")
    return text


def parts_of(schema: Mapping[str, Any]) -> Iterator[tuple[SchemaPath, Any]]:
    """The schemas directly inside `schema`, and where they stand in it."""
    for key in _MAPS_OF_SCHEMAS:
        if isinstance(schema.get(key), Mapping):
            yield from (((key, name), child) for name, child in schema[key].items())
    for key in _LISTS_OF_SCHEMAS:
        if isinstance(schema.get(key), list):
            yield from (((key, index), child) for index, child in enumerate(schema[key]))
    for key in _SCHEMAS:
        if key in schema:
            yield (key,), schema[key]


def replaced(schema: Any, path: SchemaPath, part: Any) -> Any:
    """A copy of `schema` with `part` at `path`."""
    if not path:
        return part
    copy: Any = list(schema) if isinstance(schema, list) else dict(schema)
    copy[path[0]] = replaced(schema[path[0]], path[1:], part)
    return copy


def _with_parts(schema: Mapping[str, Any], change: Callable[[str, Any], Any]) -> dict[str, Any]:
    """A copy of `schema` with `change(keyword, part)` in place of each schema directly inside it."""
    copy = dict(schema)
    for key in _MAPS_OF_SCHEMAS:
        if isinstance(schema.get(key), Mapping):
            copy[key] = {name: change(key, child) for name, child in schema[key].items()}
    for key in _LISTS_OF_SCHEMAS:
        if isinstance(schema.get(key), list):
            copy[key] = [change(key, child) for child in schema[key]]
    for key in _SCHEMAS:
        if key in schema:
            copy[key] = change(key, schema[key])
    return copy


def part_in_place(schema: Any, path: SchemaPath, part: Any) -> Any:
    """`part` as a schema by itself, whose references lead where they would at `path` of `schema`."""
    if not path:
        return part
    whole = {key: value for key, value in schema.items() if key not in SCHEMA_NAMES}
    pointer = "".join("/" + quote(str(step).replace("~", "~0").replace("/", "~1"), safe="") for step in path)
    return {"$ref": _MOVED + pointer, "$defs": {"whole": _moved(replaced(whole, path, part))}}


def shown(path: SchemaPath) -> str:
    """The path as errors name it, to follow the name of the schema."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def without_dead_ends(schema: Mapping[str, Any], path: str, *, dangling: bool) -> Any:
    """`schema` with `false` in place of each reference that no finite value could satisfy.

    A schema that must contain itself would keep the model writing until its limit, and one that is itself allows no
    token at all.  dangling: treat references to parts that do not exist in the same way; else they are left alone.
    path: where the schema stands in the request. Raises PromptError for more references than MAX_REFERENCES.
    """
    references = dict.fromkeys(_local_references(schema))
    if len(references) > MAX_REFERENCES:
        raise PromptError(f"{path}: {len(references)} different references, expected at most {MAX_REFERENCES}")
    targets = {reference: target_of(schema, reference) for reference in references}
    found = {reference for reference, target in targets.items() if target is not None}
    # References outside this schema are not judged here; one that leads nowhere ends nothing.
    finite = set() if dangling else set(references) - found
    grows = True
    while grows:
        ends = {reference for reference in found - finite if _is_finite(targets[reference], finite)}
        finite |= ends
        grows = bool(ends)
    dead = set(references) - finite
    return _without(schema, dead) if dead else schema


def with_plain_one_of(schema: Any, root: Mapping[str, Any]) -> Any:
    """`schema` with what alternatives of `oneOf` refer to in their place, one step deep.

    Whether two alternatives exclude each other is only seen where their tags can be compared.
    """
    if not isinstance(schema, Mapping):
        return schema

    def plain(keyword: str, child: Any) -> Any:
        if keyword == "oneOf" and isinstance(child, Mapping) and is_local(child.get("$ref")):
            target = target_of(root, child["$ref"])
            if isinstance(target, Mapping):
                return {**target, **{key: value for key, value in child.items() if key != "$ref"}}
        return with_plain_one_of(child, root)

    return _with_parts(schema, plain)


def _check_depth(schema: Any, path: str) -> None:
    """Depth, and patterns under one `allOf`, without recursion: the schema may be built to exhaust the stack."""
    open_parts: list[tuple[Any, int, str]] = [(schema, 1, path)]
    while open_parts:
        part, depth, at = open_parts.pop()
        if depth > MAX_SCHEMA_DEPTH:
            raise PromptError(f"{path}: a schema nested more than {MAX_SCHEMA_DEPTH} levels deep; flatten it")
        if isinstance(part, Mapping):
            if "allOf" in part and _num_patterns(part["allOf"]) > MAX_INTERSECTED_PATTERNS:
                raise PromptError(
                    f"{at}.allOf: more than {MAX_INTERSECTED_PATTERNS} patterns that must hold together; use fewer"
                )
            open_parts.extend((child, depth + 1, f"{at}.{key}") for key, child in part.items())
        elif isinstance(part, list):
            open_parts.extend((child, depth + 1, f"{at}[{index}]") for index, child in enumerate(part))


def _num_patterns(part: Any) -> int:
    count, open_parts = 0, [part]
    while open_parts:
        item = open_parts.pop()
        if isinstance(item, Mapping):
            count += sum(key in ("pattern", "format") for key in item)
            open_parts.extend(item.values())
        elif isinstance(item, list):
            open_parts.extend(item)
    return count


def _local_references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if is_local(schema.get("$ref")):
            yield schema["$ref"]
        for _, child in parts_of(schema):
            yield from _local_references(child)


def _is_finite(schema: Any, finite: set[str]) -> bool:
    """Whether some finite value satisfies `schema`, as far as references decide it. finite: those known to end."""
    if not isinstance(schema, Mapping):
        return schema is not False
    if is_local(schema.get("$ref")) and schema["$ref"] not in finite:
        return False
    for key in ("anyOf", "oneOf"):
        choices = schema.get(key)
        if isinstance(choices, list) and choices and not any(_is_finite(choice, finite) for choice in choices):
            return False
    return all(_is_finite(child, finite) for child in _needed(schema))


def _needed(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The parts that every value of `schema` has."""
    if isinstance(schema.get("allOf"), list):
        yield from schema["allOf"]
    required, properties = schema.get("required"), schema.get("properties")
    if schema.get("type") == "object" and isinstance(required, Sequence) and isinstance(properties, Mapping):
        yield from (properties[name] for name in required if isinstance(name, str) and name in properties)
    num_items = schema.get("minItems", 0)
    if schema.get("type") == "array" and isinstance(num_items, int) and num_items > 0:
        prefix = schema.get("prefixItems")
        prefix = prefix[:num_items] if isinstance(prefix, list) else []
        yield from prefix
        if "items" in schema and len(prefix) < num_items:
            yield schema["items"]


def _without(schema: Any, dead: set[str]) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    if is_local(schema.get("$ref")) and schema["$ref"] in dead:
        return False
    return _with_parts(schema, lambda _, child: _without(child, dead))


def _moved(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    copy = _with_parts(schema, lambda _, child: _moved(child))
    if is_local(schema.get("$ref")):
        copy["$ref"] = _MOVED + schema["$ref"][1:]
    return copy
