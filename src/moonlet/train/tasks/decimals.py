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


def _steps(a: str, b: str) -> list[tuple[str, str]]:
    """The comparisons that settle a against b, with the name of the place: [("Whole parts", "9 and 9: equal"), ...].

    Both sides stand there before the verdict on them, so that the verdict is one look at two neighbours.
    """
    whole_a, _, places_a = a.partition(".")
    whole_b, _, places_b = b.partition(".")
    width = max(len(places_a), len(places_b))
    columns = [("Whole parts", whole_a, whole_b)]
    columns += list(zip(_PLACES, places_a.ljust(width, "0"), places_b.ljust(width, "0"), strict=False))
    steps = []
    for place, x, y in columns:
        if int(x) != int(y):
            steps.append((place, f"{x} and {y}: {x} {'<' if int(x) < int(y) else '>'} {y}"))
            break
        steps.append((place, f"{x} and {y}: equal"))
    return steps


@dataclass(frozen=True, slots=True)
class Decimals:
    """Compare two decimals of up to three places."""

    name: str = "decimals"

    def sample(self, rng: Random, level: float) -> Problem:
        a, b = _pair(rng, level)
        wants_bigger = rng.random() < 0.7
        word = rng.choice(_BIGGER if wants_bigger else _SMALLER)
        values = (Decimal(a), Decimal(b))
        steps = _steps(a, b)
        work = ", ".join(step for _, step in steps)
        thinking = ". ".join(f"{place} {step}" for place, step in steps)
        key = "decimals " + " ".join(sorted((a, b)))
        yes_no = rng.random() < 0.12
        user = phrase(rng, _YES_NO if yes_no else _WHICH, word=word, a=a, b=b)
        if values[0] == values[1]:
            verdict = f"{'no, ' if yes_no else ''}they are equal"
            answer = f"{'No, ' if yes_no else ''}{a} and {b} are equal."
            return Problem(key, user, f"{thinking}. So they are equal.", answer, f"{work}, so {verdict}.", "equal")
        winner, loser = (a, b) if (values[0] > values[1]) == wants_bigger else (b, a)
        affirm = ("yes, " if winner == a else "no, ") if yes_no else ""
        verdict = f"{affirm}{winner} is {word}"
        answer = f"{affirm.capitalize()}{winner} is {word} than {loser}."
        return Problem(key, user, f"{thinking}. So {winner} is {word}.", answer, f"{work}, so {verdict}.", winner)

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
