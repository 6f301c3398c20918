"""Two to four calls, one after the other: each needs the result of the one before, or all are for one answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from moonlet.train.tasks.actions import ACTIONS, action_tool
from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.lookups import (
    LINKS,
    Property,
    draw_property,
    lookup_call,
    lookup_tool,
    question,
    shown,
)
from moonlet.train.tasks.phrasing import phrase
from moonlet.train.tasks.tool_call import MAX_TOOLS, declared, needs, tool_for
from moonlet.train.tasks.tooling import Call, Tool, as_json, looked_through

LONGEST = 4
_MESSAGE = next(action for action in ACTIONS if action.purpose == "message")


@dataclass(frozen=True, slots=True)
class Chain:
    """What a chain of calls is for. plan: written before the first of them."""

    key: str
    user: str
    plan: str
    tools: tuple[Tool, ...]
    calls: tuple[Call, ...]
    conclusion: str
    answer: str


def _nested(rng: Random, length: int) -> Chain:
    """A property of a property: the age of the boss of the owner of the car."""
    properties: list[Property] = [rng.choice(LINKS)]
    while len(properties) < length:
        of = properties[-1].gives
        is_last = len(properties) == length - 1
        choice = draw_property(rng, of) if is_last else rng.choice([one for one in LINKS if one.of is of] or [None])
        if choice is None or choice in properties:  # a dead end: the mayor of no city
            return _nested(rng, length)
        properties.append(choice)
    tools = [lookup_tool(rng, one, 0.35 if length < LONGEST else 0.0) for one in properties]
    subject = properties[0].of.draw(rng)
    key = " ".join(("chain", *(one.word for one in reversed(properties)), subject))
    asked = properties[0].of.article + subject
    for inner in properties[:-1]:
        asked = f"the {inner.noun} {inner.place} {asked}"
    user = phrase(rng, (question(rng, properties[-1]),), closers=False, s=asked)
    plan = ", ".join(one.noun for one in properties) + "."
    calls = []
    for prop, tool in zip(properties, tools, strict=True):
        value = prop.value(rng)
        calls.append(lookup_call(rng, prop, tool, subject, value))
        about, subject = shown(prop, subject), value
    return Chain(key, user, plan, tuple(tools), tuple(calls), f"So {value}.", f"The {about}: {value}.")


def _several(rng: Random, length: int) -> Chain:
    """One property of several things: the weather in Oslo and Rome."""
    prop = draw_property(rng)
    tool = lookup_tool(rng, prop)
    subjects = list(dict.fromkeys(prop.of.draw(rng) for _ in range(3 * length)))[:length]
    shown_all = [prop.of.article + subject for subject in subjects]
    listed = ", ".join(shown_all[:-1]) + " and " + shown_all[-1]
    user = phrase(rng, (question(rng, prop),), closers=False, s=listed)
    values = [prop.value(rng) for _ in subjects]
    calls = tuple(lookup_call(rng, prop, tool, s, v) for s, v in zip(subjects, values, strict=True))
    answer = " ".join(f"{subject}: {value}." for subject, value in zip(subjects, values, strict=True))
    key = " ".join(("chain", prop.word, *subjects))
    return Chain(key, user, ", ".join(subjects) + ".", (tool,), calls, "All there.", answer)


def _sent(rng: Random) -> Chain:
    """Look something up and send it to somebody."""
    prop = draw_property(rng)
    lookup, send = lookup_tool(rng, prop), action_tool(rng, _MESSAGE)
    subject, value, to = prop.of.draw(rng), prop.value(rng), _MESSAGE.arguments[0].draw(rng)
    about = f"the {shown(prop, subject)}"
    asks = (
        "send {t} {a}",
        "tell {t} {a}",
        "find {a} and send it to {t}",
        "look up {a} and tell {t}",
        "let {t} know {a}",
    )
    user = phrase(rng, asks, closers=False, t=to, a=about)
    arguments = as_json(send, (to, value))
    calls = (
        lookup_call(rng, prop, lookup, subject, value),
        Call(send.name, arguments, rng.choice(("ok", "sent", "done", '{"ok": true}')), f"message to {to}"),
    )
    key = f"chain send {to} {prop.word} {subject}"
    return Chain(key, user, f"{prop.noun}, message.", (lookup, send), calls, "Sent.", f"Sent to {to}: {value}.")


@dataclass(frozen=True, slots=True)
class ToolChain:
    """The plan comes before the first call; each call's work names the next step."""

    name: str = "tool_chain"

    def sample(self, rng: Random, level: float) -> Problem:
        length = rng.choices((2, 3, 4), (6, 3, 1))[0]
        length = min(length, scaled(level, 2, LONGEST))
        kind = rng.random()
        chain = _nested(rng, length) if kind < 0.55 else _several(rng, min(length, 3)) if kind < 0.85 else _sent(rng)
        names = {tool.name for tool in chain.tools}
        if len(names) < len(chain.tools):  # two tools of one chain must differ in name
            return self.sample(rng, level)
        room = max(0, MAX_TOOLS - 1 - len(chain.calls))
        others = [tool_for(rng, need) for need in needs(rng, rng.randint(0, min(room, 2)))]
        words = {tool.name.lower().replace("-", "_") for tool in chain.tools}
        others = [tool for tool in others if tool.name.lower().replace("-", "_") not in words]
        tools = declared(rng, list(chain.tools), others)
        worked = [replace(call, work=looked_through(call.work, tools, call.name)) for call in chain.calls]
        worked[0] = replace(worked[0], work=f"{chain.plan} {worked[0].work}")
        return Problem(
            chain.key,
            chain.user,
            chain.conclusion,
            chain.answer,
            chain.answer,
            chain.answer,
            tools=tools,
            calls=tuple(worked),
        )

    def is_correct(self, problem: Problem, reply: str) -> bool:
        """The answer that the last results allow."""
        return reply.strip() == problem.expected
