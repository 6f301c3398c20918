"""Sums and differences of numbers up to four digits, worked column by column from the right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase

_PLUS = (
    "what is {a} + {b}?",
    "what is {a}+{b}?",
    "what's {a} + {b}?",
    "{a} + {b}",
    "{a}+{b}",
    "{a} + {b} = ?",
    "{a}+{b}=?",
    "{a} + {b} =",
    "{a}+{b}=",
    "what is {a} plus {b}?",
    "{a} plus {b}?",
    "add {a} and {b}.",
    "add {b} to {a}.",
    "compute {a} + {b}.",
    "calculate {a} + {b}.",
    "how much is {a} + {b}?",
    "how much is {a} plus {b}?",
    "what is the sum of {a} and {b}?",
    "find the sum of {a} and {b}.",
    "solve {a} + {b}.",
)
_MINUS = (
    "what is {a} - {b}?",
    "what is {a}-{b}?",
    "what's {a} - {b}?",
    "{a} - {b}",
    "{a}-{b}",
    "{a} - {b} = ?",
    "{a}-{b}=?",
    "{a} - {b} =",
    "{a}-{b}=",
    "what is {a} minus {b}?",
    "{a} minus {b}?",
    "subtract {b} from {a}.",
    "take {b} away from {a}.",
    "compute {a} - {b}.",
    "calculate {a} - {b}.",
    "how much is {a} - {b}?",
    "how much is {a} minus {b}?",
    "solve {a} - {b}.",
)


def _number(rng: Random, level: float) -> int:
    digits = rng.randint(1, scaled(level, 2, 4))
    return rng.randint(10 ** (digits - 1) if digits > 1 else 0, 10**digits - 1)


def _add_columns(a: int, b: int) -> str:
    """ "347+085: 7+5=12, 4+8+1=13, 3+0+1=4": a carry shows as the +1 of the next column."""
    width = max(len(str(a)), len(str(b)))
    x, y = str(a).zfill(width), str(b).zfill(width)
    carry = 0
    columns = []
    for top, bottom in zip(reversed(x), reversed(y), strict=True):
        total = int(top) + int(bottom) + carry
        columns.append(f"{top}+{bottom}{'+1' if carry else ''}={total}")
        carry = total // 10
    return f"{x}+{y}: " + ", ".join(columns)


def _subtract_columns(a: int, b: int) -> str:
    """ "347-085: 7-5=2, 14-8=6, 3-1-0=2", for a >= b: a borrow shows as ten more, then as the -1 of the next column."""
    width = max(len(str(a)), len(str(b)))
    x, y = str(a).zfill(width), str(b).zfill(width)
    borrow = 0
    columns = []
    for top, bottom in zip(reversed(x), reversed(y), strict=True):
        difference = int(top) - borrow - int(bottom)
        lend = difference < 0
        columns.append(f"{'1' if lend else ''}{top}{'-1' if borrow else ''}-{bottom}={difference + 10 * lend}")
        borrow = int(lend)
    return f"{x}-{y}: " + ", ".join(columns)


@dataclass(frozen=True, slots=True)
class Sums:
    """Add or subtract two numbers of up to four digits; differences may be negative."""

    name: str = "sums"

    def sample(self, rng: Random, level: float) -> Problem:
        a, b = _number(rng, level), _number(rng, level)
        if rng.random() < 0.5:
            result = a + b
            work = _add_columns(a, b)
            equation = f"{a} + {b} = {result}"
            key = f"sums {min(a, b)} + {max(a, b)}"
            user = phrase(rng, _PLUS, a=a, b=b)
        else:
            if a < b and rng.random() < 0.5:
                a, b = b, a
            result = a - b
            work = _subtract_columns(a, b) if a >= b else f"{a}<{b}, so negative. {_subtract_columns(b, a)}"
            equation = f"{a} - {b} = {result}"
            key = f"sums {a} - {b}"
            user = phrase(rng, _MINUS, a=a, b=b)
        return Problem(key, user, f"{work}. So {result}.", f"{equation}.", f"{work}, so {equation}.", str(result))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        results = re.findall(r"= (-?\d+)(?!\d)", reply)
        return bool(results) and results[-1] == problem.expected
