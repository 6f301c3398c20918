"""Tools that do something, or compute, from arguments of several types."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from moonlet.train.tasks.tooling import Call, Parameter, Tool, as_json
from moonlet.train.tasks.wordlist import FOODS, OBJECTS, payload_name, payload_word


def _number(low: int, high: int) -> Callable[[Random], int]:
    return lambda rng: rng.randint(low, high)


def _clock(rng: Random) -> str:
    return f"{rng.randint(0, 23):02d}:{rng.choice((0, 15, 30, 45)):02d}"


def _words(low: int, high: int) -> Callable[[Random], str]:
    return lambda rng: " ".join(payload_word(rng, 3, 7) for _ in range(rng.randint(low, high)))


def _one_of(*words: str) -> Callable[[Random], str]:
    return lambda rng: rng.choice(words)


def _thing(rng: Random) -> str:
    return rng.choice(FOODS + OBJECTS)


def _path(rng: Random) -> str:
    folder = rng.choice(("", "", "", "docs/", "src/", "/home/", "notes/"))
    return f"{folder}{payload_word(rng, 3, 8)}.{rng.choice(('txt', 'md', 'py', 'json', 'csv'))}"


def _sum(rng: Random) -> str:
    left, right = rng.randint(2, 999), rng.randint(2, 99)
    return f"{left} {rng.choice('+-**/')} {right}"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: the names tools give it, its JSON type, where values come from."""

    names: tuple[str, ...]
    draw: Callable[[Random], Any]
    type: str = "string"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """A family of tools of one purpose.

    asks: prompts with {v0}, {v1} for the arguments in order. gives: what the tool returns; None for "ok" and the like.
    purpose: what thoughts call it.
    """

    purpose: str
    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    arguments: tuple[Argument, ...]
    asks: tuple[str, ...]
    gives: Callable[[Random], str] | None = None


_TO = Argument(("to", "name", "recipient"), payload_name, description="Who gets it")
_FILE = Argument(("path", "path", "file", "filename"), _path, description="Path of the file")
_A, _B = (Argument((name,), _number(2, 999), "number") for name in "ab")
_UNITS = ("km", "miles", "kg", "pounds", "euros", "dollars", "metres", "feet")

ACTIONS: tuple[Action, ...] = (
    Action(
        "message",
        ("send_message", "send_message", "message", "send"),
        ("Send a message to a person.", "Sends text to somebody.", "Send a message."),
        (_TO, Argument(("text", "message", "content", "body"), _words(1, 4), description="What to say")),
        (
            "tell {v0}: {v1}",
            "send {v0} the message {v1}",
            "send this to {v0}: {v1}",
            "write to {v0}: {v1}",
            "message {v0}: {v1}",
        ),
    ),
    Action(
        "timer",
        ("set_timer", "set_timer", "timer", "start_timer"),
        ("Set a timer.", "Start a timer for some minutes.", "Sets a timer in minutes."),
        (Argument(("minutes", "minutes", "duration"), _number(1, 90), "integer", "Minutes"),),
        (
            "set a timer for {v0} minutes",
            "timer for {v0} minutes",
            "start a timer: {v0} minutes",
            "remind me in {v0} minutes",
        ),
    ),
    Action(
        "alarm",
        ("set_alarm", "alarm", "set_alarm"),
        ("Set an alarm.", "Set an alarm for a time of day."),
        (Argument(("time", "at", "time"), _clock, description="Time as HH:MM"),),
        ("wake me at {v0}", "set an alarm for {v0}", "alarm at {v0} please", "I want to get up at {v0}"),
    ),
    Action(
        "light",
        ("set_light", "switch_light", "light"),
        ("Turn a light on or off.", "Switch the light in a room."),
        (
            Argument(
                ("room",), _one_of("kitchen", "bedroom", "garden", "hall", "bathroom", "office"), description="Room"
            ),
            Argument(("on", "on", "state"), lambda rng: rng.random() < 0.5, "boolean", "true for on"),
        ),
        ("turn {v1} the light in the {v0}", "switch {v1} the {v0} light", "light {v1} in the {v0}", "{v0} light {v1}"),
    ),
    Action(
        "music",
        ("play_music", "play_song", "play"),
        ("Play a song.", "Plays music.", "Start playing a song."),
        (Argument(("song", "title", "song"), _words(1, 3), description="Title of the song"),),
        ("play {v0}", "play the song {v0}", "I want to hear {v0}", "put on {v0}"),
    ),
    Action(
        "list",
        ("add_to_list", "add_item", "add_to_cart"),
        ("Put a thing on the shopping list.", "Add an item to the list.", "Adds to the list."),
        (
            Argument(("item", "item", "product", "name"), _thing, description="What to add"),
            Argument(("count", "amount", "quantity"), _number(2, 40), "integer", "How many"),
        ),
        ("put {v1} {v0} on the list", "add {v1} {v0}", "I need {v1} {v0}", "add {v1} {v0} to the list"),
    ),
    Action(
        "file",
        ("read_file", "read_file", "open_file", "cat"),
        ("Read a file.", "Returns the content of a file.", "Read a text file."),
        (_FILE,),
        ("read {v0}", "what is in {v0}?", "show me the file {v0}", "what does {v0} say?", "open {v0}"),
        _words(1, 4),
    ),
    Action(
        "deletion",
        ("delete_file", "remove_file", "delete"),
        ("Delete a file.", "Remove a file for ever."),
        (_FILE,),
        ("delete {v0}", "remove {v0}", "delete the file {v0}", "get rid of {v0}"),
    ),
    Action(
        "calculation",
        ("calculate", "calculator", "calc", "evaluate"),
        ("Calculate an expression.", "Evaluates arithmetic.", "A calculator."),
        (Argument(("expression", "expression", "input"), _sum, description="For example 2 + 3"),),
        ("what is {v0}?", "calculate {v0}", "compute {v0}", "how much is {v0}?", "{v0} = ?"),
        lambda rng: str(rng.randint(2, 9999)),
    ),
    Action(
        "product",
        ("multiply", "multiply_numbers", "product"),
        ("Multiply two numbers.", "The product of two numbers."),
        (_A, _B),
        ("multiply {v0} by {v1}", "what is {v0} times {v1}?", "{v0} times {v1}?", "the product of {v0} and {v1}?"),
        lambda rng: str(rng.randint(2, 9999)),
    ),
    Action(
        "conversion",
        ("convert", "convert_units", "convert"),
        ("Convert between units.", "Converts an amount to another unit."),
        (
            Argument(("amount", "value"), _number(2, 999), "number", "How much"),
            Argument(("from", "from_unit"), _one_of(*_UNITS), description="Unit now"),
            Argument(("to", "to_unit"), _one_of(*_UNITS), description="Unit wanted"),
        ),
        (
            "convert {v0} {v1} to {v2}",
            "how many {v2} are {v0} {v1}?",
            "{v0} {v1} in {v2}?",
            "what is {v0} {v1} in {v2}?",
        ),
        lambda rng: str(rng.randint(2, 999)),
    ),
    Action(
        "table",
        ("book_table", "reserve_table", "book"),
        ("Book a table.", "Reserve a table at the restaurant."),
        (
            Argument(("people", "guests"), _number(2, 12), "integer", "How many people"),
            Argument(("time", "at"), _clock, description="Time as HH:MM"),
        ),
        ("book a table for {v0} at {v1}", "a table for {v0} people at {v1} please", "reserve for {v0} people, {v1}"),
    ),
    Action(
        "search",
        ("search", "search", "web_search", "search_web"),
        ("Search the web.", "Search for something.", "Finds pages about a query."),
        (Argument(("query", "query", "q"), _words(1, 3), description="What to search for"),),
        ("search for {v0}", "look up {v0}", "search the web for {v0}", "find pages about {v0}", "google {v0}"),
        _words(1, 4),
    ),
    Action(
        "dice",
        ("roll_dice", "roll_die", "roll"),
        ("Roll a dice.", "Throws a die."),
        (),
        ("roll a dice", "roll the dice", "throw a die"),
        lambda rng: str(rng.randint(1, 6)),
    ),
    Action(
        "date",
        ("get_date", "today", "current_date"),
        ("The date of today.", "Get the current date."),
        (),
        ("what date is it?", "what is the date today?", "which day is today?"),
        lambda rng: f"20{rng.randint(20, 39)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
    ),
)
BESIDES: tuple[Action, ...] = tuple(
    action for action in ACTIONS if action.purpose in ("timer", "alarm", "light", "table")
)
"""Tools that no other task's question could be meant for."""


def action_tool(rng: Random, action: Action) -> Tool:
    """One way to declare a tool of this family, its parameters in the order of `action.arguments`."""
    description = rng.choice(action.descriptions)
    explains = rng.random() < 0.35
    parameters = tuple(
        Parameter(rng.choice(one.names), one.type, one.description if explains else "") for one in action.arguments
    )
    return Tool(rng.choice(action.names), description, parameters)


def spoken(value: object) -> str:
    """A value as a question says it."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Deed:
    """An action with its arguments: the question's values, the call, and the answer that the result allows."""

    said: tuple[str, ...]
    call: Call
    answer: str


def draw_deed(rng: Random, action: Action, tool: Tool) -> Deed:
    """Arguments for `tool`, and what comes of it: now and then an error."""
    values = [argument.draw(rng) for argument in action.arguments]
    arguments = as_json(tool, values)
    if rng.random() < 0.06:
        error = rng.choice(("not found", "no access", "timeout", "not allowed", "busy"))
        result, answer = json.dumps({"error": error}), f"The tool failed: {error}."
    elif action.gives is None:
        result = rng.choice(("ok", "done", "sent", "", '{"ok": true}', '{"status": "done"}', '{"result": "ok"}'))
        answer = "Done."
    else:
        value = action.gives(rng)
        shape = rng.random()
        result = value if shape < 0.6 else json.dumps({rng.choice(("result", "value", "content")): value})
        answer = f"The result: {value}."
    call = Call(tool.name, arguments, result, action.purpose)
    return Deed(tuple(spoken(value) for value in values), call, answer)
