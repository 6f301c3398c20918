"""Answering from a short given text: who lives where, has what, likes what, works as what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from moonlet.train.tasks.base import Problem, Turn, scaled, split_of
from moonlet.train.tasks.phrasing import phrase
from moonlet.train.tasks.wordlist import ANIMALS, CITIES, COLOURS, FOODS, JOBS, OBJECTS, payload_name, random_word


@dataclass(frozen=True, slots=True)
class Relation:
    """One kind of fact: how it is told, how it is asked about, both ways round."""

    tell: str
    ask_value: tuple[str, ...]
    ask_name: tuple[str, ...]
    value: Callable[[Random], str]


def _made_up(rng: Random, listed: tuple[str, ...], capital: bool) -> str:
    if rng.random() < 0.8:
        return rng.choice(listed)
    word = random_word(rng, 3, 7)
    return word.capitalize() if capital else word


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


_REGULAR = tuple(
    word for word in OBJECTS + ANIMALS if word[-1] not in "shxfy" and word not in ("knife", "mouse", "goose")
)

RELATIONS: tuple[Relation, ...] = (
    Relation(
        "{n} lives in {v}.",
        ("where does {n} live?", "in which city does {n} live?", "what city does {n} live in?"),
        ("who lives in {v}?",),
        lambda rng: _made_up(rng, CITIES, capital=True),
    ),
    Relation(
        "{n} has {v}.",
        ("what does {n} have?",),
        ("who has {v}?",),
        lambda rng: _article(_made_up(rng, OBJECTS + ANIMALS, capital=False)),
    ),
    Relation(
        "{n} likes {v}.",
        ("what does {n} like?", "what does {n} like to eat?"),
        ("who likes {v}?",),
        lambda rng: _made_up(rng, FOODS, capital=False),
    ),
    Relation(
        "{n} is {v}.",
        ("what is the job of {n}?", "what does {n} do?", "what is {n}?"),
        ("who is {v}?",),
        lambda rng: _article(_made_up(rng, JOBS, capital=False)),
    ),
    Relation(
        "{n} is {v} years old.",
        ("how old is {n}?", "what is the age of {n}?"),
        ("who is {v} years old?",),
        lambda rng: str(rng.randint(2, 99)),
    ),
    Relation(
        "The {n} is {v}.",
        ("what colour is the {n}?", "what color is the {n}?", "which colour is the {n}?"),
        ("what is {v}?", "which thing is {v}?"),
        lambda rng: rng.choice(COLOURS),
    ),
    Relation(
        "{n} bought {v}.",
        ("what did {n} buy?",),
        ("who bought {v}?",),
        lambda rng: f"{rng.randint(2, 20)} {rng.choice(_REGULAR)}s",
    ),
)
_COLOUR = RELATIONS[5]
_AGE = RELATIONS[4]
_LAYOUTS = ("{t} {q}", "{t} {q}", "{t}\n{q}", "{t}\n\n{q}", "Text: {t}\nQuestion: {q}", "Read this: {t} {q}", "{q} {t}")


Fact = tuple[Relation, str, str]


def _sentence(fact: Fact) -> str:
    relation, name, value = fact
    return relation.tell.format(n=name, v=value)


def _key(fact: Fact) -> str:
    return f"facts {_sentence(fact)}"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question about a text, with the thinking that answers it and the reply in either mode."""

    user: str
    thinking: str
    answer: str
    instant: str


def _ask_value(rng: Random, fact: Fact) -> _Asked:
    """The question names who or what the sentence begins with, so the sentence itself can be recalled."""
    relation, name, value = fact
    user = phrase(rng, relation.ask_value, closers=False, n=name, v=value)
    answer = f"{value} years old." if relation is _AGE else f"{value}."
    return _Asked(user, f"The text says: {_sentence(fact)}", _capital(answer), _sentence(fact))


def _ask_name(rng: Random, fact: Fact, told: list[Fact]) -> _Asked:
    """The question names how the sentence ends: read from the start, sentence by sentence, with a verdict on each."""
    relation, name, value = fact
    user = phrase(rng, relation.ask_name, closers=False, n=name, v=value)
    read = [_sentence(other).removesuffix(".") for other in told[: told.index(fact) + 1]]
    walk = "".join(f"{sentence}: no. " for sentence in read[:-1]) + f"{read[-1]}: yes."
    answer = f"the {name}." if relation is _COLOUR else f"{name}."
    return _Asked(user, walk, _capital(answer), f"{walk} So {answer}")


def _question(rng: Random, fact: Fact, told: list[Fact]) -> _Asked:
    """A question about one of the facts told, either way round."""
    relation, _, value = fact
    is_only_one = [(r, v) for r, _, v in told].count((relation, value)) == 1
    return _ask_name(rng, fact, told) if is_only_one and rng.random() < 0.35 else _ask_value(rng, fact)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


@dataclass(frozen=True, slots=True)
class Facts:
    """Find the one sentence that answers the question."""

    name: str = "facts"

    def sample(self, rng: Random, level: float) -> Problem:
        count = rng.randint(2, scaled(level, 3, 6))
        alike = rng.choice(RELATIONS) if rng.random() < 0.4 else None  # all of one kind: only the name decides
        told: list[Fact] = []
        while len(told) < count:
            relation = alike or rng.choice(RELATIONS)
            name = rng.choice(OBJECTS) if relation is _COLOUR else payload_name(rng)
            value = relation.value(rng)
            if all(name != other and value != seen for _, other, seen in told):
                told.append((relation, name, value))
        if alike is None and count > 2 and rng.random() < 0.5:  # one person in two sentences: the relation decides too
            relation, name, _ = told[0]
            others = [r for r in RELATIONS if r is not relation and r is not _COLOUR]
            if relation is not _COLOUR:
                extra = rng.choice(others)
                told[1] = (extra, name, extra.value(rng))
        rng.shuffle(told)
        text = " ".join(r.tell.format(n=n, v=v) for r, n, v in told)
        asked = rng.sample(told, rng.randint(2, min(3, count)) if rng.random() < 0.5 else 1)
        side = split_of(_key(asked[-1]))  # follow-up questions must lie on the same side as the last one
        questions = [_question(rng, fact, told) for fact in asked if split_of(_key(fact)) is side]
        layout = rng.choice(_LAYOUTS)
        questions[0] = replace(questions[0], user=layout.format(t=text, q=questions[0].user))
        last = questions.pop()
        lead = tuple(Turn(turn.user, turn.answer, turn.instant) for turn in questions)
        return Problem(_key(asked[-1]), last.user, last.thinking, last.answer, last.instant, last.answer, lead=lead)

    def is_correct(self, problem: Problem, reply: str) -> bool:
        """The bare answer, or the sentence that gives it, or the answer after reading up to that sentence."""
        said = reply.strip().rpartition(": yes. So ")[2]
        return said.lower() in (problem.expected.lower(), problem.instant.lower())
