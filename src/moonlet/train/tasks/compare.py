"""Comparing two pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from moonlet.train.pictures.base import COLOUR_NAMES, SHAPE_NAMES
from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase
from moonlet.train.tasks.shapes import Scene, placed, random_names

_SAME = (
    "are these two the same?",
    "are the two pictures the same?",
    "do both pictures show the same?",
    "is there the same in both pictures?",
    "compare the two pictures. are they the same?",
    "compare the images. do they show the same shapes?",
)
_MORE = (
    "which picture has more shapes?",
    "which one has more shapes?",
    "which image has more shapes?",
    "in which picture are there more shapes?",
)


def _altered(rng: Random, names: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same but for one colour or shape."""
    changed = list(names)
    at = rng.randrange(len(names))
    colour, shape = names[at]
    if rng.random() < 0.5:
        colour = rng.choice([other for other in COLOUR_NAMES if other != colour])
    else:
        shape = rng.choice([other for other in SHAPE_NAMES if other != shape])
    changed[at] = (colour, shape)
    return changed


def _listed(scene: Scene, beside: Scene | None = None) -> str:
    """What is in a scene, numbered; with whether the same number is the same in the scene `beside`."""
    parts = []
    for number, thing in enumerate(scene.things, start=1):
        same = "" if beside is None else " yes" if thing.name == beside.things[number - 1].name else " no"
        parts.append(f"{number} {thing.name}{same}")
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Compare:
    """Two pictures of one to three shapes: the same things in the same order, or which has more."""

    name: str = "compare"

    def sample(self, rng: Random, level: float) -> Problem:
        most = scaled(level, 2, 3)
        asks_same = rng.random() < 0.6
        if asks_same:
            count = rng.randint(1, most)
            first = random_names(rng, count)
            second = list(first) if rng.random() < 0.5 else _altered(rng, first)
        else:
            sizes = rng.sample(range(1, most + 1), 2)
            first, second = random_names(rng, sizes[0]), random_names(rng, sizes[1])
        scenes = tuple(placed(rng, names, rng.sample(range(4), len(names)), 2) for names in (first, second))
        key = f"compare {scenes[0].key} / {scenes[1].key}"
        if asks_same:
            same = first == second
            user = phrase(rng, _SAME)
            answer = "Yes, they are the same." if same else "No, they are different."
            expected = "yes" if same else "no"
            work = f"First: {_listed(scenes[0])}. Other: {_listed(scenes[1], scenes[0])}."
        else:
            user = phrase(rng, _MORE)
            expected = "first" if len(first) > len(second) else "other"
            answer = f"The {expected} one has more."
            work = f"First: {_listed(scenes[0])}. Other: {_listed(scenes[1])}."
        return Problem(key, user, work, answer, f"{work} {answer}", expected, media=scenes)

    def is_correct(self, problem: Problem, reply: str) -> bool:
        if problem.expected in ("yes", "no"):
            return re.findall(r"\b(yes|no), they", reply.lower()) == [problem.expected]
        return re.findall(r"the (first|other) one has more", reply.lower()) == [problem.expected]
