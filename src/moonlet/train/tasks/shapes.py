"""Naming and counting coloured shapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from moonlet.train.pictures.base import COLOUR_NAMES, COLOURS, SHAPE_NAMES, TOKEN_SIDE, Label
from moonlet.train.pictures.canvas import Thing, background, finish, paint, shade
from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase

_COUNT = (
    "how many {x} are there?",
    "how many {x} are in the picture?",
    "how many {x} do you see?",
    "count the {x}.",
    "what is the number of {x}?",
)
_NAME = (
    "what is in the picture?",
    "what do you see?",
    "name the shapes.",
    "which shapes are there?",
    "list the shapes.",
)
_WHICH_COLOUR = ("what color is the {x}?", "what colour is the {x}?", "which colour is the {x}?")
_WHICH_SHAPE = ("what shape is the {x} one?", "which shape is {x}?", "what is the {x} shape?")


@dataclass(frozen=True, slots=True)
class Scene:
    """Things on a square canvas of `side` tokens, at most one thing's middle in a token; in reading order."""

    things: tuple[Thing, ...]
    side: int
    seed: int
    frames_per_second: None = None

    def draw(self) -> NDArray[np.uint8]:
        random = np.random.default_rng(self.seed)
        canvas = background(random, 1, self.side * TOKEN_SIDE, self.side * TOKEN_SIDE)
        for thing in self.things:
            paint(canvas[0], thing, shade(random, thing.colour))
        return finish(random, canvas)

    def token(self, thing: Thing) -> int:
        return int(thing.y) // TOKEN_SIDE * self.side + int(thing.x) // TOKEN_SIDE

    def labels(self) -> list[Label]:
        held = {self.token(thing): number for number, thing in enumerate(self.things)}
        labels = []
        for token in range(self.side * self.side):
            if token in held:
                thing = self.things[held[token]]
                labels.append(Label("colour", token, COLOUR_NAMES.index(thing.colour)))
                labels.append(Label("shape", token, SHAPE_NAMES.index(thing.shape)))
                labels.append(Label("place", token, held[token]))
            else:
                labels.append(Label("colour", token, len(COLOURS)))
                labels.append(Label("shape", token, len(SHAPE_NAMES)))
        return labels

    @property
    def key(self) -> str:
        """What is where, without the way it is drawn."""
        return " ".join(f"{self.token(thing)} {thing.name}" for thing in self.things)


def placed(rng: Random, names: list[tuple[str, str]], cells: list[int], side: int) -> Scene:
    """A scene with these (colour, shape) in these cells, a little off their middles."""
    things = []
    for (colour, shape), cell in zip(names, sorted(cells), strict=True):
        row, column = divmod(cell, side)
        x = (column + 0.5) * TOKEN_SIDE + rng.uniform(-5, 5)
        y = (row + 0.5) * TOKEN_SIDE + rng.uniform(-5, 5)
        things.append(Thing(colour, shape, x, y, rng.uniform(8, 12)))
    return Scene(tuple(things), side, rng.getrandbits(32))


def random_names(rng: Random, count: int) -> list[tuple[str, str]]:
    """Colours and shapes; half the time from few, so that there is something to count."""
    colours = rng.sample(COLOUR_NAMES, 2) if rng.random() < 0.5 else list(COLOUR_NAMES)
    shapes = rng.sample(SHAPE_NAMES, 2) if rng.random() < 0.5 else list(SHAPE_NAMES)
    return [(rng.choice(colours), rng.choice(shapes)) for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Shapes:
    """One to five shapes on 84 x 84 pixels."""

    name: str = "shapes"

    def sample(self, rng: Random, level: float) -> Problem:
        count = rng.randint(1, scaled(level, 3, 5))
        scene = placed(rng, random_names(rng, count), rng.sample(range(9), count), 3)
        key = f"shapes {scene.key}"
        listed = ", ".join(thing.name for thing in scene.things)
        kind = rng.random()
        if kind < 0.3:
            user = phrase(rng, _NAME)
            return Problem(key, user, f"{listed}.", f"{listed}.", f"{listed}.", listed, media=(scene,))
        if kind < 0.5:
            asked = self._ask_one(rng, scene)
            if asked is not None:
                user, known, answer = asked
                reply = f"The {known} one is {answer}."
                return Problem(key, user, f"{listed}.", reply, f"{listed}. {reply}", answer, media=(scene,))
        return self._count(rng, scene, key)

    @staticmethod
    def _ask_one(rng: Random, scene: Scene) -> tuple[str, str, str] | None:
        """(question, what is known, what is asked) about a thing that is the only one of its colour or shape."""
        by_colour = Counter(thing.colour for thing in scene.things)
        by_shape = Counter(thing.shape for thing in scene.things)
        thing = rng.choice(scene.things)
        if by_shape[thing.shape] == 1 and rng.random() < 0.5:
            return phrase(rng, _WHICH_COLOUR, x=thing.shape), thing.shape, thing.colour
        if by_colour[thing.colour] == 1:
            return phrase(rng, _WHICH_SHAPE, x=thing.colour), thing.colour, thing.shape
        return None

    @staticmethod
    def _count(rng: Random, scene: Scene, key: str) -> Problem:
        like = rng.choice(scene.things)
        colour = rng.choice(COLOUR_NAMES) if rng.random() < 0.1 else like.colour
        kind = rng.random()
        counted: Callable[[Thing], bool]
        if kind < 0.3:
            asked, counted = "shapes", lambda _: True
        elif kind < 0.55:
            asked, counted = f"{like.shape}s", lambda thing: thing.shape == like.shape
        elif kind < 0.8:
            asked, counted = f"{colour} shapes", lambda thing: thing.colour == colour
        else:
            asked = f"{colour} {like.shape}s"
            counted = lambda thing: thing.name == f"{colour} {like.shape}"  # noqa: E731
        hits = 0
        parts = []
        for thing in scene.things:
            hits += counted(thing)
            parts.append(f"{thing.name} {hits}" if counted(thing) else thing.name)
        work = ", ".join(parts)
        answer = f"There {'is' if hits == 1 else 'are'} {hits}."
        user = phrase(rng, _COUNT, x=asked)
        return Problem(key, user, f"{work}.", answer, f"{work}. {answer}", str(hits), media=(scene,))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        if problem.expected.isdigit():
            return re.findall(r"[Tt]here (?:is|are) (\d+)", reply)[-1:] == [problem.expected]
        if " " in problem.expected:
            return reply.rstrip(".") == problem.expected
        return re.findall(r"one is (\w+)", reply)[-1:] == [problem.expected]
