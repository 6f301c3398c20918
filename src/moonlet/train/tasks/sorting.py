"""Sorting numbers by size and words by the alphabet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from random import Random

from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase
from moonlet.train.tasks.wordlist import payload_word

_NUMBERS = (
    "sort these numbers: {x}",
    "sort the numbers {x}.",
    "sort: {x}",
    "sort {x}",
    "sort {x} from small to big.",
    "sort from smallest to largest: {x}",
    "sort in ascending order: {x}",
    "put these numbers in order: {x}",
    "put {x} in order.",
    "order these numbers: {x}",
    "arrange {x} in order.",
    "what is the sorted order of {x}?",
)
_DOWN = (
    "sort these numbers from largest to smallest: {x}",
    "sort {x} from big to small.",
    "sort in descending order: {x}",
    "put these numbers in descending order: {x}",
)
_WORDS = (
    "sort these words: {x}",
    "sort the words {x}.",
    "sort: {x}",
    "sort {x}",
    "sort {x} alphabetically.",
    "sort alphabetically: {x}",
    "sort these words alphabetically: {x}",
    "sort in alphabetical order: {x}",
    "put these words in alphabetical order: {x}",
    "put {x} in order.",
    "order these words: {x}",
    "arrange {x} in alphabetical order.",
)


@dataclass(frozen=True, slots=True)
class Sorting:
    """Sort three to six numbers or words."""

    name: str = "sorting"

    def sample(self, rng: Random, level: float) -> Problem:
        count = rng.randint(3, scaled(level, 4, 6))
        return self._numbers(rng, level, count) if rng.random() < 0.5 else self._words(rng, level, count)

    def _numbers(self, rng: Random, level: float, count: int) -> Problem:
        top = rng.choice((9, 99, 99, scaled(level, 99, 999)))
        values = rng.sample(range(top + 1), count)
        down = rng.random() < 0.25
        ordered = sorted(values, reverse=down)
        separator = rng.choice((", ", ", ", ", ", " ", ","))
        user = phrase(rng, _DOWN if down else _NUMBERS, closers=False, x=separator.join(map(str, values)))
        groups = [(width, list(group)) for width, group in groupby(ordered, key=lambda value: len(str(value)))]
        thinking = " ".join(f"{w} digit{'' if w == 1 else 's'}: {', '.join(map(str, group))}." for w, group in groups)
        answer = ", ".join(map(str, ordered))
        key = "sort " + " ".join(map(str, sorted(values)))
        return Problem(key, user, thinking, answer, answer, answer)

    def _words(self, rng: Random, level: float, count: int) -> Problem:
        words: set[str] = set()
        while len(words) < count:
            words.add(payload_word(rng, 3, scaled(level, 5, 7)))
        values = sorted(words)
        rng.shuffle(values)
        ordered = sorted(values)
        separator = rng.choice((", ", ", ", ", ", " ", ","))
        user = phrase(rng, _WORDS, closers=False, x=separator.join(values))
        initials = " ".join(word[0] for word in ordered)
        thinking = f"First letters: {' '.join(word[0] for word in values)}. In order: {initials}."
        answer = ", ".join(ordered)
        return Problem("sort " + " ".join(ordered), user, thinking, answer, f"{initials}: {answer}", answer)

    def is_correct(self, problem: Problem, reply: str) -> bool:
        """The list at the end counts; the first letters may stand before it."""
        return reply.strip().split(": ")[-1] == problem.expected
