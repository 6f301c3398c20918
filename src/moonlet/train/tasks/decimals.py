"""Which of two decimals is bigger: compare the whole parts, then digit by digit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase

_BIGGER = ("bigger", "larger", "greater", "higher")
_SMALLER = ("smaller", "less", "lower")
_WHICH = (
    "which one is {word}, {a} or {b}?",
    "which is {word}, {a} or {b}?",
    "which is {word}: {a} or {b}?",
    "which number is {word}, {a} or {b}?",
    "which of {a} and {b} is {word}?",
    "what is {word}, {a} or {b}?",
    "what's {word}, {a} or {b}?",
    "{a} or {b}, which is {word}?",
    "{a} or {b}: which one is {word}?",
    "{a} vs {b}, which is {word}?",
    "which is {word} {a} or {b}?",
    "tell me which is {word}, {a} or {b}.",
    "compare {a} and {b}. which is {word}?",
    "of the two numbers {a} and {b}, which is {word}?",
    "between {a} and {b}, which one is {word}?",
    "is {a} or {b} {word}?",
    "find the {word} number: {a}, {b}",
    "I have two numbers, {a} and {b}. which one is {word}?",
)
_YES_NO = ("is {a} {word} than {b}?", "is it true that {a} is {word} than {b}?", "{a} is {word} than {b}, right?")
_PLACES = ("Tenths", "Hundredths", "Thousandths")


def _number(rng: Random, level: float, whole: int) -> str:
    places = rng.randint(0 if rng.random() < 0.15 else 1, scaled(level, 2, 3))
    return f"{whole}." + "".join(rng.choice("0123456789") for _ in range(places)) if places else str(whole)


def _pair(rng: Random, level: float) -> tuple[str, str]:
    """Two decimals that mostly share their whole part, often their tenths, with unequal lengths."""
    whole = rng.randint(0, 12) if rng.random() < 0.6 else rng.randint(0, scaled(level, 30, 999))
    other = whole if rng.random() < 0.75 else max(0, whole + rng.choice((-10, -2, -1, 1, 2, 10, 90)))
    a, b = _number(rng, level, whole), _number(rng, level, other)
    if whole == other and "." in a and "." in b and rng.random() < 0.35:
        keep = rng.randint(1, 2)  # share the first places, so that the later ones decide
        stem = a.split(".")[1][:keep]
        b = f"{other}.{stem}{b.split('.')[1][keep:]}"
    return (a, b) if rng.random() < 0.5 else (b, a)


def _verdict(x: str, y: str) -> str:
    """ "1 and 9: 1 < 9" or "9 and 9: equal": both digits stand there before the verdict on them."""
    return f"{x} and {y}: equal" if x == y else f"{x} and {y}: {x} {'<' if x < y else '>'} {y}"


def _digits(xs: str, ys: str) -> list[str]:
    """The comparisons of two numbers of equal width, from the left up to the digits that differ."""
    verdicts = []
    for x, y in zip(xs, ys, strict=True):
        verdicts.append(_verdict(x, y))
        if x != y:
            break
    return verdicts


def _whole_parts(x: str, y: str) -> str:
    """Compared by the number of digits, then digit by digit: several digits are too much for one glance."""
    if len(x) != len(y):
        return f"{x} and {y}: digits {len(x)} {'<' if len(x) < len(y) else '>'} {len(y)}"
    if len(x) == 1:
        return _verdict(x, y)
    return f"{x} and {y}, digits {', '.join(_digits(x, y))}"


def compared(a: str, b: str) -> str:
    """The comparisons that settle two decimals: "Whole parts 9 and 9: equal. Tenths 1 and 9: 1 < 9"."""
    whole_a, _, places_a = a.partition(".")
    whole_b, _, places_b = b.partition(".")
    steps = [f"Whole parts {_whole_parts(whole_a, whole_b)}"]
    if whole_a == whole_b:
        width = max(len(places_a), len(places_b))
        digits = _digits(places_a.ljust(width, "0"), places_b.ljust(width, "0"))
        steps += [f"{place} {digit}" for place, digit in zip(_PLACES, digits, strict=False)]
    return ". ".join(steps)


@dataclass(frozen=True, slots=True)
class Decimals:
    """Compare two decimals of up to three places."""

    name: str = "decimals"

    def sample(self, rng: Random, level: float) -> Problem:
        a, b = _pair(rng, level)
        wants_bigger = rng.random() < 0.7
        word = rng.choice(_BIGGER if wants_bigger else _SMALLER)
        values = (Decimal(a), Decimal(b))
        work = compared(a, b)
        key = "decimals " + " ".join(sorted((a, b)))
        yes_no = rng.random() < 0.12
        user = phrase(rng, _YES_NO if yes_no else _WHICH, word=word, a=a, b=b)
        if values[0] == values[1]:
            verdict = f"{'no, ' if yes_no else ''}they are equal"
            answer = f"{'No, ' if yes_no else ''}{a} and {b} are equal."
            return Problem(key, user, f"{work}. So they are equal.", answer, f"{work}. So {verdict}.", "equal")
        winner, loser = (a, b) if (values[0] > values[1]) == wants_bigger else (b, a)
        affirm = ("yes, " if winner == a else "no, ") if yes_no else ""
        verdict = f"{affirm}{winner} is {word}"
        answer = f"{affirm.capitalize()}{winner} is {word} than {loser}."
        return Problem(key, user, f"{work}. So {winner} is {word}.", answer, f"{work}. So {verdict}.", winner)

    def is_correct(self, problem: Problem, reply: str) -> bool:
        says_equal = "are equal" in reply
        if problem.expected == "equal" or says_equal:
            return says_equal and problem.expected == "equal"
        claims = re.findall(r"(\d+(?:\.\d+)?) is (?:bigger|larger|greater|higher|smaller|less|lower)", reply)
        if not claims or claims[-1] != problem.expected:
            return False
        truth = re.search(r"\b(yes|no), ", problem.instant)
        claimed = re.search(r"\b(yes|no)\b", reply.lower())
        return (claimed and claimed[1]) == (truth and truth[1])
