"""Sorting numbers by size and words by the alphabet."""

from __future__ import annotations

from dataclasses import dataclass
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


def _problem(key: str, user: str, work: str, answer: str) -> Problem:
    """Either mode sorts in the open or in thought: neither can do it in one glance."""
    return Problem(key, user, work, answer, f"{work} So: {answer}", answer)


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
        width = max(len(str(value)) for value in values)
        given, filled = (" ".join(str(value).zfill(width) for value in group) for group in (values, ordered))
        if min(len(str(value)) for value in values) < width:
            given = " ".join(f"{value}={value:0{width}}" for value in values)
        work = f"Numbers: {given}, sorted: {filled}."
        key = "sort " + " ".join(map(str, sorted(values)))
        return _problem(key, user, work, ", ".join(map(str, ordered)))

    def _words(self, rng: Random, level: float, count: int) -> Problem:
        words: set[str] = set()
        while len(words) < count:
            words.add(payload_word(rng, 3, scaled(level, 5, 7)))
        values = sorted(words)
        rng.shuffle(values)
        ordered = sorted(values)
        separator = rng.choice((", ", ", ", ", ", " ", ","))
        user = phrase(rng, _WORDS, closers=False, x=separator.join(values))
        # A comma without a space keeps three letters from being one of the vocabulary's whole words, such as " can".
        given, stems = (",".join(word[:3] for word in group) for group in (values, ordered))
        work = f"First letters: {given}, sorted: {stems}."
        return _problem("sort " + " ".join(ordered), user, work, ", ".join(ordered))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        """The list at the end counts; the work may stand before it."""
        return reply.strip().split("So: ")[-1] == problem.expected
