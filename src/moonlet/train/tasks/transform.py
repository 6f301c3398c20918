"""Tasks whose answer is the text itself, changed or unchanged: reversing, upper-casing, repeating."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.letters import quoted
from moonlet.train.tasks.phrasing import phrase
from moonlet.train.tasks.wordlist import payload_word, random_word

_REVERSE = (
    "reverse the word {w}.",
    "reverse {w}.",
    "reverse {w}",
    "reverse: {w}",
    "reverse this word: {w}",
    "spell {w} backwards.",
    "write {w} backwards.",
    "write the word {w} backwards.",
    "what is {w} backwards?",
    "what is {w} reversed?",
    "what is {w} spelled backwards?",
    "how do you spell {w} backwards?",
    "say {w} backwards.",
    "reverse the letters of {w}.",
    "reverse the letters in the word {w}.",
    "turn the word {w} around.",
)
_UPPER = (
    "write {w} in capital letters.",
    "write {w} in uppercase.",
    "write {w} in upper case.",
    "write {w} in all caps.",
    "uppercase {w}.",
    "uppercase: {w}",
    "upper-case {w}.",
    "convert {w} to uppercase.",
    "convert {w} to upper case.",
    "convert the word {w} to capital letters.",
    "make {w} uppercase.",
    "put {w} in capitals.",
    "capitalize all letters of {w}.",
    "change {w} to all capital letters.",
    "what is {w} in uppercase?",
    "turn {w} into capital letters.",
)
_REPEAT = (
    "repeat: {w}",
    "repeat after me: {w}",
    "repeat this: {w}",
    "repeat the following: {w}",
    "repeat this text: {w}",
    "repeat exactly: {w}",
    "say: {w}",
    "say this: {w}",
    "say {w}",
    "please repeat: {w}",
    "copy this: {w}",
    "copy: {w}",
    "echo: {w}",
    "echo {w}",
    "repeat {w}",
    'repeat the text "{w}"',
    'say "{w}"',
    "write this back to me: {w}",
)


def _is_text(problem: Problem, reply: str) -> bool:
    return reply.strip() == problem.expected


@dataclass(frozen=True, slots=True)
class Reverse:
    """Write a word backwards."""

    name: str = "reverse"

    def sample(self, rng: Random, level: float) -> Problem:
        word = payload_word(rng, 3, scaled(level, 6, 11))
        backwards = word[::-1]
        user = phrase(rng, _REVERSE, closers=False, w=quoted(rng, word))
        spelled = " ".join(f"{char}{place % 10}" for place, char in enumerate(word, 1))
        return Problem(
            f"word {word}", user, f"{spelled}. Backwards: {' '.join(backwards)}.", backwards, backwards, backwards
        )

    def is_correct(self, problem: Problem, reply: str) -> bool:
        return _is_text(problem, reply)


@dataclass(frozen=True, slots=True)
class Upper:
    """Write a word or a few in capital letters."""

    name: str = "upper"

    def sample(self, rng: Random, level: float) -> Problem:
        count = 1 if rng.random() < 0.7 else rng.randint(2, 3)
        text = " ".join(payload_word(rng, 3, scaled(level, 6, 11)) for _ in range(count))
        upper = text.upper()
        user = phrase(rng, _UPPER, closers=False, w=quoted(rng, text))
        return Problem(f"word {text}", user, f"{' '.join(text.replace(' ', ''))} in capitals.", upper, upper, upper)

    def is_correct(self, problem: Problem, reply: str) -> bool:
        return _is_text(problem, reply)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Say a text back exactly as it was given."""

    name: str = "repeat"

    def sample(self, rng: Random, level: float) -> Problem:
        parts = []
        for _ in range(rng.randint(1, scaled(level, 2, 5))):
            kind = rng.random()
            if kind < 0.7:
                word = payload_word(rng, 2, 9)
                parts.append(word.capitalize() if rng.random() < 0.15 else word)
            elif kind < 0.85:
                parts.append(str(rng.randint(0, 9999)))
            else:
                parts.append(random_word(rng, 2, 6).upper())
        text = " ".join(parts)
        if rng.random() < 0.2:
            text += rng.choice((".", "!", "?"))
        user = phrase(rng, _REPEAT, closers=False, w=text)
        thinking = "Copy it as it is."
        return Problem(f"word {text}", user, thinking, text, text, text)

    def is_correct(self, problem: Problem, reply: str) -> bool:
        return _is_text(problem, reply)
