"""Choose the one tool that fits among up to five, fill its arguments, answer from what it gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

from moonlet.train.tasks.actions import ACTIONS, BESIDES, Action, action_tool, draw_deed
from moonlet.train.tasks.base import Problem, Turn, scaled, split_of
from moonlet.train.tasks.lookups import (
    Property,
    draw_property,
    lookup_call,
    lookup_tool,
    question,
    shown,
)
from moonlet.train.tasks.phrasing import phrase
from moonlet.train.tasks.tooling import Call, Tool, looked_through

MAX_TOOLS = 5
Need = Property | Action
# Either of these could answer what is asked of the other.
_ALIKE = {"temperature": "weather", "product": "calculation"}


def purpose(need: Need) -> str:
    """What a need is called in thoughts."""
    return need.noun if isinstance(need, Property) else need.purpose


def needs(rng: Random, count: int) -> list[Need]:
    """`count` purposes of tools, no two of which could serve the same request."""
    chosen: dict[str, Need] = {}
    while len(chosen) < count:
        need: Need = draw_property(rng) if rng.random() < 0.5 else rng.choice(ACTIONS)
        chosen.setdefault(_ALIKE.get(purpose(need), purpose(need)), need)
    return list(chosen.values())


def tool_for(rng: Random, need: Need) -> Tool:
    """One way to declare the tool that serves a need."""
    return lookup_tool(rng, need) if isinstance(need, Property) else action_tool(rng, need)


def declared(rng: Random, wanted: list[Tool], others: list[Tool]) -> tuple[Tool, ...]:
    """The wanted tools and the others in any order, no two of one name: the wanted come first to a name."""
    by_name = {tool.name: tool for tool in reversed(wanted + others)}
    tools = list(by_name.values())
    rng.shuffle(tools)
    return tuple(tools)


def idle_tools(rng: Random) -> tuple[Tool, ...]:
    """Tools that are declared while something else is asked."""
    return declared(rng, [], [action_tool(rng, action) for action in rng.sample(BESIDES, rng.randint(1, 3))])


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for one tool: the key of the problem, the prompt, the call, what follows from its result."""

    key: str
    user: str
    call: Call
    conclusion: str
    answer: str


def ask_for(rng: Random, need: Need, tool: Tool) -> Asked:
    """A request that `tool`, which serves `need`, can answer."""
    if isinstance(need, Property):
        subject, value = need.of.draw(rng), need.value(rng)
        user = phrase(rng, (question(rng, need),), closers=False, s=need.of.article + subject)
        call = lookup_call(rng, need, tool, subject, value)
        about = shown(need, subject)
        return Asked(f"tool {need.word} {subject}", user, call, f"So {value}.", f"The {about}: {value}.")
    deed = draw_deed(rng, need, tool)
    values: dict[str, Any] = {f"v{index}": value for index, value in enumerate(deed.said)}
    user = phrase(rng, need.asks, closers=False, **values)
    key = f"tool {need.purpose} {' '.join(deed.said) or deed.answer}"
    return Asked(key, user, deed.call, f"So {deed.answer[0].lower()}{deed.answer[1:]}", deed.answer)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call, the right one; sometimes after an earlier request that another call has answered."""

    name: str = "tool_call"

    def sample(self, rng: Random, level: float) -> Problem:
        count = rng.randint(1, scaled(level, 2, MAX_TOOLS))
        chosen = needs(rng, count)
        tools = [tool_for(rng, need) for need in chosen]
        asked = ask_for(rng, chosen[0], tools[0])
        lead: tuple[Turn, ...] = ()
        if rng.random() < 0.2:
            at = rng.randrange(count)
            earlier = ask_for(rng, chosen[at], tools[at])
            if split_of(earlier.key) is split_of(asked.key) and tools[at] in declared(Random(0), tools[:1], tools[1:]):
                lead = (Turn(earlier.user, earlier.answer, earlier.answer, (earlier.call,)),)
        shown = declared(rng, tools[:1], tools[1:])
        # Now and then without a word, as when a client demands a call.
        work = "" if rng.random() < 0.06 else looked_through(asked.call.work, shown, asked.call.name)
        return Problem(
            asked.key,
            asked.user,
            asked.conclusion,
            asked.answer,
            asked.answer,
            asked.answer,
            lead=lead,
            tools=shown,
            calls=(replace(asked.call, work=work),),
        )

    def is_correct(self, problem: Problem, reply: str) -> bool:
        """The answer that the result allows; the calls before it have been held against the right ones."""
        return reply.strip() == problem.expected
