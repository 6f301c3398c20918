"""Counting a letter in a word: spell it and number each hit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase
from moonlet.train.tasks.wordlist import payload_word

_TEMPLATES = (
    "how many {c}'s are in {w}?",
    "how many {c}'s are there in {w}?",
    "how many {c}s are in {w}?",
    "how many {c} are in {w}?",
    "how many {c}'s in {w}?",
    "how many {c}'s does {w} have?",
    "how many {c}'s are in the word {w}?",
    "how many times does {c} appear in {w}?",
    "how many times does the letter {c} appear in {w}?",
    "how many times does the letter {c} occur in the word {w}?",
    "how often does {c} appear in {w}?",
    "count the {c}'s in {w}.",
    "count the letter {c} in {w}.",
    "count the letter {c} in the word {w}.",
    "count how many {c}'s there are in {w}.",
    "how many letters {c} are in {w}?",
    "in the word {w}, how many {c}'s are there?",
    "tell me how many {c}'s are in {w}.",
    "what is the number of {c}'s in {w}?",
)


def quoted(rng: Random, text: str) -> str:
    """The text as people type it: mostly bare, sometimes in quotes."""
    mark = rng.choice(("", "", "", '"', '"', "'"))
    return f"{mark}{text}{mark}"


@dataclass(frozen=True, slots=True)
class Letters:
    """How often a letter occurs in a word."""

    name: str = "letters"

    def sample(self, rng: Random, level: float) -> Problem:
        word = payload_word(rng, 3, scaled(level, 6, 12))
        letter = rng.choice(word) if rng.random() < 0.85 else rng.choice("abcdefghijklmnopqrstuvwxyz")
        hits = 0
        spelled = []
        for char in word:
            hits += char == letter
            spelled.append(f"{char}{hits}" if char == letter else char)
        work = " ".join(spelled)
        shown = word.capitalize() if rng.random() < 0.1 else word
        asked = letter.upper() if rng.random() < 0.15 else letter
        user = phrase(rng, _TEMPLATES, c=quoted(rng, asked) if rng.random() < 0.3 else asked, w=quoted(rng, shown))
        answer = f"There {'is' if hits == 1 else 'are'} {hits} {letter}{'' if hits == 1 else chr(39) + 's'} in {word}."
        instant = f"{work}: there {'is' if hits == 1 else 'are'} {hits}."
        return Problem(f"word {word}", user, f"{work}. So {hits}.", answer, instant, str(hits))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        claims = re.findall(r"there (?:is|are) (\d+)", reply.lower())
        return bool(claims) and claims[-1] == problem.expected
