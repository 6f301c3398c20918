"""Parameters of tools as people declare them, beside the golden ones: what must hold, what is passed over, what is not.

Keywords that must hold are those of the API's contract; the rest of JSON Schema a tool may use, and arguments are then
held to what is left.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
INT: Schema = {"type": "integer"}


def obj(**properties: Any) -> Schema:
    """An object whose properties are all required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def closed(**properties: Any) -> Schema:
    return {**obj(**properties), "additionalProperties": False}


def of_a(**fields: Any) -> Schema:
    """An object that needs a property `a` of this schema."""
    return obj(a=fields)


def named(reference: str, **definitions: Any) -> Schema:
    return {**obj(a={"$ref": reference}), "$defs": definitions}


TAGGED = [obj(k={"const": "x"}, v=TEXT), obj(k={"const": "y"}, n=INT)]
NODE: Schema = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}}}

HOLDS: dict[str, Schema] = {
    "nested": obj(a=closed(b=closed(c={"type": "array", "items": obj(d=INT), "minItems": 1}))),
    "types": of_a(type=["integer", "string", "null"]),
    "nullable": of_a(type=["string", "null"], maxLength=3),
    "anyOf": of_a(anyOf=[INT, {"type": "null"}, closed(b=TEXT)]),
    "anyOf at the root": {"type": "object", "properties": {"a": INT, "b": INT}, "anyOf": [{"required": ["a"]}]},
    "anyOf beside a type": of_a(type="string", anyOf=[{"minLength": 3}, {"pattern": "^a"}]),
    "oneOf by tag": of_a(oneOf=TAGGED),
    "oneOf at the root": {"oneOf": TAGGED},
    "oneOf of types": of_a(oneOf=[TEXT, INT]),
    "allOf": {"allOf": [obj(a=TEXT), obj(b=INT)]},
    "allOf of a reference": {"$defs": {"B": obj(a=TEXT)}, "allOf": [{"$ref": "#/$defs/B"}], **obj(c=INT)},
    "const": obj(a={"const": "x"}, b={"const": None}, c={"const": {"d": [1, "é"]}}),
    "enum": of_a(enum=["a", 1, None, 2.5, True, {"b": 1}, [2]]),
    "a huge enum": of_a(enum=[f"item-{i}" for i in range(100)]),
    "enum beside a type": of_a(type="string", enum=["a", 1]),
    "enum of signs": of_a(enum=["\u2028", "\U0001f600", "\t", '"', "\\", "\x7f"]),
    "whole numbers": obj(a={**INT, "minimum": -5, "maximum": 7}, b={**INT, "exclusiveMinimum": 3}),
    "one whole number": of_a(type="integer", exclusiveMinimum=-5, exclusiveMaximum=-3),
    "numbers": obj(a={"type": "number", "minimum": 0.5, "maximum": 0.75}, b={"type": "number", "exclusiveMinimum": 0}),
    "large numbers": of_a(type="integer", minimum=10**15, maximum=10**18),
    "lengths": obj(a={**TEXT, "minLength": 2, "maxLength": 4}, b={**TEXT, "maxLength": 0}),
    "pattern": of_a(type="string", pattern="^[A-Z]{2}-\\d{4}$"),
    "pattern and length": of_a(type="string", pattern="^[a-z]+$", minLength=3, maxLength=5),
    "pattern of quotes": of_a(type="string", pattern='^"\\\\[a-z]$'),
    "pattern of Chinese": of_a(type="string", pattern="^[\\u4e00-\\u9fff]{2}$"),
    "formats": obj(a={**TEXT, "format": "date"}, b={**TEXT, "format": "uuid"}, c={**TEXT, "format": "ipv4"}),
    "date and time": of_a(type="string", format="date-time"),
    "items": of_a(type="array", items={"enum": [1, 2]}, minItems=2, maxItems=3),
    "items of items": of_a(type="array", minItems=1, items={"type": "array", "minItems": 1, "items": INT}),
    "prefixItems": of_a(type="array", prefixItems=[TEXT, INT], items=False, minItems=2),
    "additional properties": {"type": "object", "properties": {"a": TEXT}, "additionalProperties": {"type": "number"}},
    "no additional properties": {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False},
    "a map of maps": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": INT}},
    "properties by pattern": {"type": "object", "patternProperties": {"^x-": INT}, "additionalProperties": False},
    "names of all kinds": closed(
        **{"名前": TEXT, 'a"b': INT, "back\\slash": INT, "new\nline": INT, "": INT, " s ": INT}
    ),
    "many properties": {"type": "object", "properties": {f"p{i}": TEXT for i in range(40)}},
    "a required name that is not declared": {"type": "object", "properties": {"a": TEXT}, "required": ["ghost"]},
    "true and false": {"type": "object", "properties": {"a": True, "b": False}, "required": ["a"]},
    "a reference": named("#/$defs/P", P=obj(x=INT)),
    "a reference with a limit beside it": {**obj(a={"$ref": "#/$defs/S", "maxLength": 3}), "$defs": {"S": TEXT}},
    "a reference of odd letters": named("#/$defs/a~1b%20c", **{"a/b c": TEXT}),
    "a reference to another property": obj(a=TEXT, b={"$ref": "#/properties/a"}),
    "definitions": {"definitions": {"A": INT}, **obj(a={"$ref": "#/definitions/A"})},
    "a list of itself": {**obj(v=INT), "properties": {"v": INT, "kids": {"type": "array", "items": {"$ref": "#"}}}},
    "a definition of itself": named("#/$defs/N", N=NODE),
    "a reference at the root": {"$ref": "#/$defs/P", "$defs": {"P": obj(x=INT)}},
    "an optional part without end": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}, "b": INT}}
    | {"$defs": {"A": obj(a={"$ref": "#/$defs/A"})}, "required": ["b"]},
    "a reference to itself": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}
    | {"$defs": {"A": {"$ref": "#/$defs/A"}}},
    "an optional reference to nothing": {"type": "object", "properties": {"a": {"$ref": "#/$defs/No"}}},
    "a name of its own": {"$id": "my schema", **named("#/$defs/P", P=INT)},
    "a dialect of its own": {"$schema": "http://example.com/mine", **of_a(type="integer")},
    "notes": of_a(title="A", default=5, examples=[1], type="integer", deprecated=True),
}

PASSED_OVER: dict[str, Schema] = {
    "not": of_a(type="string", **{"not": {"const": "b"}}),
    "if": {**obj(k={"enum": ["a", "b"]}), "if": {"properties": {"k": {"const": "a"}}}, "then": {"required": ["v"]}},
    "overlapping oneOf": of_a(oneOf=[{"type": "number"}, {"type": "integer"}]),
    "uniqueItems": of_a(type="array", items={"type": "boolean"}, uniqueItems=True, minItems=2, maxItems=2),
    "contains": of_a(type="array", contains={"const": 1}, items=INT),
    "propertyNames": {"type": "object", "propertyNames": {"pattern": "^[a-z]$"}},
    "minProperties beside properties": {**closed(), "properties": {"a": INT, "b": INT}, "minProperties": 1},
    "a pattern that looks ahead": of_a(type="string", pattern="^(?=.*a).+$"),
    "a pattern that looks back": of_a(type="string", pattern="^(a)\\1$"),
    "a pattern that is none": of_a(type="string", pattern="["),
    "a format at odds with its pattern": of_a(type="string", pattern="^[a-z]+$", format="email"),
    "an unknown format": of_a(type="string", format="moon-phase"),
    "text where an object must be": TEXT,
    "a list where an object must be": {"type": ["array", "null"], "items": INT},
    "a value where an object must be": {"const": 5},
    "lists where an object must be": {"anyOf": [{"type": "array"}, {"enum": ["a"]}]},
    "a reference to elsewhere": of_a(**{"$ref": "http://example.com/x.json"}),
}

REFUSED: dict[str, tuple[Schema, str]] = {
    "bounds the wrong way round": (of_a(type="integer", minimum=5, maximum=3), "properties.a"),
    "lengths the wrong way round": (of_a(type="string", minLength=4, maxLength=3), "properties.a"),
    "an empty enum": (of_a(enum=[]), "properties.a"),
    "types that exclude each other": (of_a(allOf=[TEXT, INT]), "properties.a"),
    "an unknown type": (of_a(type="banana"), "properties.a"),
    "properties that are a list": ({"type": "object", "properties": []}, "parameters"),
    "a part that must hold itself": (named("#/$defs/A", A=obj(a={"$ref": "#/$defs/A"})), "parameters"),
    "a required reference to itself": (named("#/$defs/A", A={"$ref": "#/$defs/A"}), "parameters"),
    "a required reference to nothing": (named("#/$defs/No"), "parameters"),
    "a required name that is not allowed": ({**closed(a=TEXT), "required": ["ghost"]}, "parameters"),
    "many patterns at once": (of_a(allOf=[{"pattern": f".*{i}.*"} for i in range(20)]), "allOf"),
    "more references than anyone needs": (
        {"anyOf": [{"$ref": f"#/$defs/d{i}"} for i in range(1500)], "type": "object"},
        "references",
    ),
}
