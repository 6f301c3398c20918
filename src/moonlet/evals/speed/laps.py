"""Laps of prefill and decode, driven in turn by whoever takes part.

A lap reads a prompt and then decodes a few tokens. Prompts are random, so that a step needs experts which the last
one did not, as real text does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from moonlet.evals.speed.spread import Spread
from moonlet.kernels.ceiling import Ceiling

WARM_UP_TOKENS = 512
"""Enough random tokens to reach every expert once: a mapped file is then in memory, not on the disk."""
_WARM_UP_STEPS = 4


@dataclass(frozen=True, slots=True)
class Lap:
    """Seconds for a prompt, and for each decode step on average."""

    prefill_s: float
    step_s: float


class Contestant(Protocol):
    """Runs one model. The prompt is forgotten after each lap."""

    @property
    def name(self) -> str:
        """Who it is, with a version."""
        ...

    def lap(self, prompt: Sequence[int], following: Sequence[int]) -> Lap:
        """Read `prompt`, then one step for each of `following` (a rival may choose its own tokens instead)."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: contexts in tokens, decode steps a lap, and laps."""

    contexts: tuple[int, ...]
    num_steps: int
    num_rounds: int
    vocab_size: int

    @property
    def context_length(self) -> int:
        """Tokens that the longest lap holds."""
        return max(*self.contexts, WARM_UP_TOKENS) + max(self.num_steps, _WARM_UP_STEPS) + 2


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant at one context. Speeds in tokens per second; prefill is None for an empty context."""

    context: int
    prefill: Spread | None
    decode: Spread


@dataclass(frozen=True, slots=True)
class Heat:
    """One context: a row of each contestant, in their order, and what the machine could do meanwhile."""

    rows: tuple[Row, ...]
    ceiling: Ceiling


def race(contestants: Sequence[Contestant], case: Case, measure_ceiling: Callable[[], Ceiling]) -> Iterator[Heat]:
    """Every context in turn. Contestants take turns too, so that a busy neighbour slows all of them alike, and the
    ceiling is measured before each round: on shared machines it changes by half within minutes.

    A context of 0 starts from a prompt of one token.
    """
    generator = random.Random(0)

    def tokens(count: int) -> list[int]:
        return [generator.randrange(case.vocab_size) for _ in range(count)]

    for contestant in contestants:
        contestant.lap(tokens(WARM_UP_TOKENS), tokens(_WARM_UP_STEPS))
    for context in case.contexts:
        laps: list[list[Lap]] = [[] for _ in contestants]
        ceilings = []
        for _ in range(case.num_rounds):
            ceilings.append(measure_ceiling())
            prompt, following = tokens(max(context, 1)), tokens(case.num_steps)
            for contestant, own in zip(contestants, laps, strict=True):
                own.append(contestant.lap(prompt, following))
        yield Heat(tuple(_row(context, own) for own in laps), Ceiling.median(ceilings))


def _row(context: int, laps: Sequence[Lap]) -> Row:
    prefill = Spread.of([context / lap.prefill_s for lap in laps]) if context else None
    return Row(context, prefill, Spread.of([1 / lap.step_s for lap in laps]))
