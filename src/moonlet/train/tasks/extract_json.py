"""From a few sentences about somebody to a JSON object with the keys that were asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase
from moonlet.train.tasks.wordlist import ANIMALS, CITIES, COLOURS, FOODS, JOBS, OBJECTS, payload_name, random_word


@dataclass(frozen=True, slots=True)
class Field:
    """One fact: the keys it goes by, how it is told, where its values come from. type: JSON Schema's name."""

    keys: tuple[str, ...]
    tells: tuple[str, ...]
    draw: Callable[[Random], str | int]
    type: str = "string"


def _word(listed: tuple[str, ...], capital: bool = False) -> Callable[[Random], str]:
    def draw(rng: Random) -> str:
        word = rng.choice(listed) if rng.random() < 0.8 else random_word(rng, 3, 7)
        return word.capitalize() if capital else word

    return draw


NAME = Field(("name", "name", "person", "who"), (), payload_name)
FIELDS: tuple[Field, ...] = (
    Field(
        ("age", "age", "years"), ("{n} is {v} years old.", "{n}, {v} years old."), lambda r: r.randint(2, 99), "integer"
    ),
    Field(("city", "city", "home", "place"), ("{n} lives in {v}.", "{n} is from {v}."), _word(CITIES, capital=True)),
    Field(("job", "job", "work"), ("{n} works as {v}.", "{n} works as a {v}."), _word(JOBS)),
    Field(("food", "likes", "favourite"), ("{n} likes {v}.", "{n} likes to eat {v}."), _word(FOODS)),
    Field(("pet", "animal", "pet"), ("{n} has a pet {v}.", "The pet of {n} is a {v}."), _word(ANIMALS)),
    Field(("colour", "color", "colour"), ("{n} likes the colour {v}.",), _word(COLOURS)),
    Field(
        ("phone", "phone", "number"),
        ("{n} has the number {v}.", "Call {n} at {v}."),
        lambda r: r.randint(100, 9999),
        "integer",
    ),
    Field(("thing", "bought", "item"), ("{n} bought a {v}.", "{n} has bought the {v}."), _word(OBJECTS)),
)
_ASKS = (
    "give me JSON with the keys {k}.",
    "return JSON with {k}.",
    "extract {k} as JSON.",
    "make JSON with the keys {k}.",
    "answer in JSON with the keys {k}.",
    "write {k} as JSON.",
    "turn this into JSON with {k}.",
    "JSON with the keys {k} please.",
)
_SCHEMAS = ("answer in JSON: {k}", "JSON like this: {k}", "fill in this JSON: {k}", "use this schema: {k}")
_TYPES: dict[str, type] = {"string": str, "integer": int}
_LAYOUTS = ("{t} {q}", "{t}\n{q}", "{t}\n\n{q}", "{q} {t}", "{q}\n{t}", "{q}\n\n{t}", "Text: {t}\n{q}")


@dataclass(frozen=True, slots=True)
class ExtractJson:
    """The keys in the order they were asked for; null where the text does not say."""

    name: str = "extract_json"
    grade_name: str = "valid under the schema"

    def sample(self, rng: Random, level: float) -> Problem:
        person = payload_name(rng)
        told = rng.sample(FIELDS, rng.randint(1, scaled(level, 2, 4)))
        values = {field: field.draw(rng) for field in told}
        tells = [rng.choice(field.tells).format(n=person, v=values[field]) for field in told]
        wanted = rng.sample(told, rng.randint(1, len(told)))
        unsaid = [field for field in FIELDS if field not in told]
        if rng.random() < 0.08:
            wanted.insert(rng.randint(0, len(wanted)), rng.choice(unsaid))
        if rng.random() < 0.3:  # somebody else's facts, of a kind that was not asked for
            field, other = rng.choice(unsaid), payload_name(rng)
            if field not in wanted and other != person:
                tells.insert(rng.randint(0, len(tells)), rng.choice(field.tells).format(n=other, v=field.draw(rng)))
        pairs = [(rng.choice(field.keys), field.type, values.get(field)) for field in wanted]
        if rng.random() < 0.8 and all(person in tell for tell in tells):  # one person only, so there is one name
            pairs.insert(0, (rng.choice(NAME.keys), NAME.type, person))
        found: dict[str, Any] = {key: value for key, _, value in pairs}
        if rng.random() < 0.6:
            keys = list(found)
            listed = (
                ", ".join(keys) if rng.random() < 0.5 or len(keys) < 2 else ", ".join(keys[:-1]) + " and " + keys[-1]
            )
            question = phrase(rng, _ASKS, closers=False, k=listed)
        else:
            shape = json.dumps({key: type for key, type, _ in pairs})
            question = phrase(rng, _SCHEMAS, closers=False, k=shape)
        user = rng.choice(_LAYOUTS).format(t=" ".join(tells), q=question)
        answer = json.dumps(found)
        thinking = " ".join(f"{key}: {'not said' if value is None else value}." for key, value in found.items())
        return Problem(f"json {' '.join(tells)}", user, thinking, answer, answer, answer, schema=_schema(pairs))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        """The same object, whatever the order of its keys and the space between."""
        return bool(_parsed(reply) == json.loads(problem.expected))

    def grade(self, problem: Problem, reply: str) -> float:
        """1 if the reply is JSON that the schema allows."""
        found, schema = _parsed(reply), problem.schema
        assert schema is not None, "every problem here has one"
        if not isinstance(found, dict) or set(found) != set(schema["required"]):
            return 0.0
        types = {key: _TYPES[wanted["type"][0]] for key, wanted in schema["properties"].items()}
        return float(all(value is None or type(value) is types[key] for key, value in found.items()))


def _schema(pairs: list[tuple[str, str, Any]]) -> dict[str, Any]:
    """The JSON Schema of what was asked for; anything may be null."""
    return {
        "type": "object",
        "properties": {key: {"type": [type, "null"]} for key, type, _ in pairs},
        "required": [key for key, *_ in pairs],
        "additionalProperties": False,
    }


def _parsed(reply: str) -> Any:
    try:
        return json.loads(reply)
    except ValueError:
        return None
