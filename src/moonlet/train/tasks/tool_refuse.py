"""Know when no tool fits: say so instead of calling the nearest one."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.tool_call import MAX_TOOLS, ask_for, declared, needs, purpose, tool_for
from moonlet.train.tasks.tooling import looked_through

ANSWER = "I have no tool for that."


@dataclass(frozen=True, slots=True)
class ToolRefuse:
    """A request for a tool that is not among those declared."""

    name: str = "tool_refuse"

    def sample(self, rng: Random, level: float) -> Problem:
        wanted, *others = needs(rng, 1 + rng.randint(1, scaled(level, 2, MAX_TOOLS)))
        asked = ask_for(rng, wanted, tool_for(rng, wanted))
        # A search could find anything, so it is no example of a tool that does not fit.
        tools = [tool_for(rng, need) for need in others if purpose(need) != "search"]
        tools = [tool for tool in tools if tool.name != asked.call.name]
        if not tools:
            return self.sample(rng, level)
        shown = declared(rng, [], tools)
        work = looked_through(asked.call.work, shown, None)
        return Problem(
            asked.key.replace("tool", "refuse", 1),
            asked.user,
            work,
            ANSWER,
            f"{work} {ANSWER}",
            ANSWER,
            tools=shown,
        )

    def is_correct(self, problem: Problem, reply: str) -> bool:
        """That there is no tool; a call before it has been counted as wrong."""
        return reply.strip().endswith(problem.expected)
