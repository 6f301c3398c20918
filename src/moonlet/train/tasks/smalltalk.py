"""Greetings, thanks, goodbyes, and an honest way out of what a very small model cannot do."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from moonlet.train.tasks.base import Problem
from moonlet.train.tasks.identity import CAN, SHOUTED
from moonlet.train.tasks.phrasing import phrase
from moonlet.train.tasks.wordlist import payload_word

_SORRY = f"I am too small a model for that. {CAN}"
_KINDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        (
            "hello",
            "hi",
            "hey",
            "hello!",
            "hi!",
            "hey there",
            "hi there",
            "good morning",
            "good evening",
            "hello there!",
            "yo",
        ),
        "A greeting.",
        "Hello! What can I do for you?",
    ),
    (
        (
            "thanks",
            "thank you",
            "thanks!",
            "thank you!",
            "thank you very much",
            "great, thanks",
            "cool, thank you",
            "nice",
        ),
        "They thank me.",
        "You are welcome!",
    ),
    (
        ("bye", "goodbye", "bye!", "see you", "see you later", "good night", "that is all, bye"),
        "They are leaving.",
        "Goodbye!",
    ),
    (
        ("how are you?", "how are you doing?", "are you ok?", "how is it going?", "how do you do?"),
        "A friendly question.",
        "I am fine, thank you. What can I do for you?",
    ),
)
_BEYOND = (
    "what is the capital of {w}?",
    "write a poem about {w}.",
    "write a story about a {w}.",
    "who was the first president of {w}?",
    "what is the meaning of {w}?",
    "explain {w}.",
    "explain how a {w} works.",
    "write a python program for {w}.",
    "translate {w} to french.",
    "what is the weather in {w}?",
    "tell me a joke about {w}.",
    "tell me a joke.",
    "who won the {w} game?",
    "what do you think about {w}?",
    "what is a {w}?",
    "why is the {w} blue?",
    "why is the sky {w}?",
    "give me a recipe for {w}.",
    "how do I make {w}?",
    "what is the best {w}?",
    "write an essay about {w}.",
    "how far is the {w}?",
    "when was {w} invented?",
    "sing a song about {w}.",
    "what is 12 times 7?",
    "write code that prints {w}.",
    "summarize the book {w}.",
)


@dataclass(frozen=True, slots=True)
class Smalltalk:
    """Small talk and refusals, each with one fixed reply."""

    name: str = "smalltalk"

    def sample(self, rng: Random, level: float) -> Problem:  # noqa: ARG002 (all are short)
        if rng.random() < 0.5:
            user = phrase(rng, _BEYOND, shouted=SHOUTED, w=payload_word(rng, 3, 8))
            return Problem(f"smalltalk {user}", user, "I can not do this.", _SORRY, _SORRY, _SORRY)
        openings, thinking, answer = rng.choice(_KINDS)
        user = phrase(rng, openings, closers=False, shouted=SHOUTED)
        return Problem(f"smalltalk {user}", user, thinking, answer, answer, answer)

    def is_correct(self, problem: Problem, reply: str) -> bool:
        return reply.strip() == problem.expected
