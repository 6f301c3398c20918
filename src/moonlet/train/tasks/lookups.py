"""Tools that give one property of one thing, real (the weather in a city) or made up, and questions that need them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from moonlet.train.tasks.tooling import Call, Parameter, Tool
from moonlet.train.tasks.wordlist import (
    ANIMALS,
    CITIES,
    COLOURS,
    FOODS,
    JOBS,
    OBJECTS,
    payload_name,
    payload_word,
    random_word,
)

Source = Callable[[Random], str]


def _clock(rng: Random) -> str:
    return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"


def _weather(rng: Random) -> str:
    sky = rng.choice(("sun", "rain", "snow", "wind", "fog", "clouds", "sunny", "rainy", "cloudy"))
    degrees = f"{rng.randint(-9, 39)} degrees"
    return rng.choice((sky, degrees, f"{sky}, {degrees}", f"{degrees}, {sky}"))


def _city(rng: Random) -> str:
    return rng.choice(CITIES) if rng.random() < 0.8 else random_word(rng, 3, 7).capitalize()


def _item(rng: Random) -> str:
    return rng.choice(OBJECTS + ANIMALS) if rng.random() < 0.8 else random_word(rng, 3, 7)


def _number(low: int, high: int) -> Source:
    return lambda rng: str(rng.randint(low, high))


def _one_of(words: tuple[str, ...]) -> Source:
    return lambda rng: rng.choice(words)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a property belongs to. noun: as descriptions name it; article: what stands before one in a question."""

    noun: str
    parameters: tuple[str, ...]
    draw: Source
    article: str = ""


PERSON = Kind("person", ("name", "person", "name", "who", "user", "full_name"), payload_name)
CITY = Kind("city", ("city", "city", "location", "place", "town"), _city)
ITEM = Kind("thing", ("item", "item", "thing", "product", "object", "name"), _item, "the ")


@dataclass(frozen=True, slots=True)
class Property:
    """noun: as questions say it; word: as tools are named after it; gives: the kind of its value, where that is one."""

    noun: str
    word: str
    of: Kind
    value: Source
    asks: tuple[str, ...] = ()
    place: str = "of"
    gives: Kind | None = None


PROPERTIES: tuple[Property, ...] = (
    Property(
        "weather",
        "weather",
        CITY,
        _weather,
        (
            "what is the weather in {s}?",
            "what's the weather like in {s}?",
            "how is the weather in {s}?",
            "how is the weather in {s} today?",
            "weather in {s}?",
            "tell me the weather in {s}.",
            "what is the weather like in {s} right now?",
        ),
        "in",
    ),
    Property("time", "time", CITY, _clock, ("what time is it in {s}?", "tell me the time in {s}."), "in"),
    Property("temperature", "temperature", CITY, _number(-9, 39), ("how warm is it in {s}?",), "in"),
    Property("population", "population", CITY, _number(100, 9999), ("how many people live in {s}?",)),
    Property("mayor", "mayor", CITY, payload_name, ("who is the mayor of {s}?",), gives=PERSON),
    Property("age", "age", PERSON, _number(2, 99), ("how old is {s}?",)),
    Property("phone number", "phone", PERSON, _number(100, 9999), ("how can I call {s}?",)),
    Property("city", "city", PERSON, _city, ("where does {s} live?", "in which city does {s} live?"), gives=CITY),
    Property("job", "job", PERSON, _one_of(JOBS), ("what does {s} do?",)),
    Property("boss", "boss", PERSON, payload_name, ("who is the boss of {s}?",), gives=PERSON),
    Property("friend", "friend", PERSON, payload_name, ("who is the friend of {s}?",), gives=PERSON),
    Property("mother", "mother", PERSON, payload_name, ("who is the mother of {s}?",), gives=PERSON),
    Property("favourite food", "food", PERSON, _one_of(FOODS), ("what does {s} like to eat?",)),
    Property("price", "price", ITEM, _number(2, 999), ("how much is {s}?", "what does {s} cost?")),
    Property("owner", "owner", ITEM, payload_name, ("who owns {s}?", "whose is {s}?"), gives=PERSON),
    Property("colour", "colour", ITEM, _one_of(COLOURS), ("what colour is {s}?",)),
    Property("weight", "weight", ITEM, _number(2, 99), ("how heavy is {s}?",)),
    Property("stock", "stock", ITEM, _number(0, 99), ("how many of {s} are left?",)),
    Property("size", "size", ITEM, _number(2, 99), ("how big is {s}?",)),
)
LINKS = tuple(one for one in PROPERTIES if one.gives is not None)
_ASKS = (
    "what is the {p} {o} {s}?",
    "tell me the {p} {o} {s}.",
    "get the {p} {o} {s}.",
    "find the {p} {o} {s}.",
    "look up the {p} {o} {s}.",
    "the {p} {o} {s}?",
)
_VERBS = ("get", "get", "get", "find", "look_up", "fetch", "read", "")


def draw_property(rng: Random, of: Kind | None = None) -> Property:
    """A property, one in six of them made up; of: which kind it must belong to."""
    if rng.random() < 1 / 6:
        word = random_word(rng, 4, 7)
        value: Source = rng.choice((_number(2, 999), lambda rng: payload_word(rng, 3, 7)))
        return Property(word, word, of or rng.choice((PERSON, CITY, ITEM)), value)
    return rng.choice([one for one in PROPERTIES if of in (None, one.of)])


def _name(rng: Random, word: str) -> str:
    verb = rng.choice(_VERBS)
    style = rng.random()
    if not verb:
        return word
    if style < 0.8:
        return f"{verb}_{word}"
    first, _, rest = verb.partition("_")
    camel = first + rest.capitalize() + word.capitalize()
    return camel if style < 0.9 else f"{verb.replace('_', '-')}-{word}"


def lookup_tool(rng: Random, prop: Property, explained: float = 0.35) -> Tool:
    """One way to declare the tool that gives a property. Its first parameter is the required one.

    explained: how often that parameter has a description.
    """
    parameter = rng.choice(prop.of.parameters)
    # Always told: a tool's name comes after its description, and can be known by it.
    description = rng.choice(
        (
            "Get the {p} {o} a {k}.",
            "Returns the {p} {o} a {k}.",
            "Look up the {p} {o} a {k}.",
            "The {p} {o} a {k}.",
            "Get {p}.",
            "Current {p} {o} a {k}",
            "Get {p} by {a}.",
        )
    ).format(p=prop.noun, o=prop.place, k=prop.of.noun, a=parameter)
    about = rng.choice((f"The {prop.of.noun}", f"Name of the {prop.of.noun}.")) if rng.random() < explained else ""
    parameters = [Parameter(parameter, description=about)]
    if prop.noun in ("weather", "temperature") and rng.random() < 0.2:
        units = ("celsius", "fahrenheit") if rng.random() < 0.7 else ()
        parameters.append(Parameter(rng.choice(("unit", "units")), required=False, values=units))
    return Tool(_name(rng, prop.word), description, tuple(parameters))


def question(rng: Random, prop: Property) -> str:
    """A template with {s} for the subject."""
    if prop.asks and rng.random() < 0.55:
        return rng.choice(prop.asks)
    return rng.choice(_ASKS).replace("{p}", prop.noun).replace("{o}", prop.place)


def shown(prop: Property, subject: str) -> str:
    """The property of a subject in words: `weather in Oslo`."""
    return f"{prop.noun} {prop.place} {prop.of.article}{subject}"


def result(rng: Random, prop: Property, subject: str, value: str) -> str:
    """One of the ways in which tools give a value back."""
    style = rng.random()
    plain: str | int = int(value) if value.lstrip("-").isdigit() else value
    if style < 0.4:
        return value
    if style < 0.7:
        return json.dumps({prop.word: plain})
    if style < 0.8:
        return json.dumps({"result": plain})
    if style < 0.92:
        return json.dumps({prop.of.parameters[0]: subject, prop.word: plain})
    return f"The {shown(prop, subject)} is {value}."


def lookup_call(rng: Random, prop: Property, tool: Tool, subject: str, value: str) -> Call:
    """The call for the property of a subject, which gives `value`. Its work is only the need: no tool is known yet."""
    arguments = json.dumps({tool.parameters[0].name: subject})
    return Call(tool.name, arguments, result(rng, prop, subject, value), shown(prop, subject))
