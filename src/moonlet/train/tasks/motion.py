"""Which way something moves in a video."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from moonlet.train.pictures.base import CHUNK_FRAMES, COLOUR_NAMES, SHAPE_NAMES, TOKEN_SIDE, Label
from moonlet.train.pictures.canvas import Thing, background, finish, paint, shade
from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase

_TEMPLATES = (
    "which way does the {x} move?",
    "which way is the {x} going?",
    "where does the {x} go?",
    "where is the {x} moving?",
    "in which direction does the {x} move?",
    "what is the direction of the {x}?",
    "does the {x} go left, right, up or down?",
)
STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
DIRECTIONS = tuple(STEPS)
_SIDE = 2 * TOKEN_SIDE


@dataclass(frozen=True, slots=True)
class Passage:
    """One thing crossing 56 x 56 pixels. lane: where it stays across its way; start: where it begins along it."""

    colour: str
    shape: str
    radius: float
    direction: str
    lane: int
    start: float
    speed: float
    num_frames: int
    seed: int
    frames_per_second: float = 2.0

    def draw(self) -> NDArray[np.uint8]:
        random = np.random.default_rng(self.seed)
        canvas = background(random, self.num_frames, _SIDE, _SIDE)
        tint = shade(random, self.colour)
        across, down = STEPS[self.direction]
        for number, frame in enumerate(canvas):
            way = self.start + self.speed * number
            along = way if across + down > 0 else _SIDE - way
            x, y = (along, self.lane) if across else (self.lane, along)
            paint(frame, Thing(self.colour, self.shape, x, y, self.radius), tint)
        return finish(random, canvas)

    def labels(self) -> list[Label]:
        tokens = range(self.num_frames // CHUNK_FRAMES * (_SIDE // TOKEN_SIDE) ** 2)
        names = (("motion", DIRECTIONS, self.direction), ("colour", COLOUR_NAMES, self.colour))
        return [Label(head, token, all_.index(one)) for head, all_, one in names for token in tokens]


@dataclass(frozen=True, slots=True)
class Motion:
    """Left, right, up or down, in one or two chunks."""

    name: str = "motion"

    def sample(self, rng: Random, level: float) -> Problem:
        colour, shape, direction = rng.choice(COLOUR_NAMES), rng.choice(SHAPE_NAMES), rng.choice(DIRECTIONS)
        radius, lane = rng.uniform(7, 11), rng.randint(10, _SIDE - 10)
        num_frames = CHUNK_FRAMES * rng.randint(1, scaled(level, 1, 2))
        way = rng.uniform(20, 36)
        start = rng.uniform(8, _SIDE - 8 - way)
        clip = Passage(
            colour, shape, radius, direction, lane, start, way / (num_frames - 1), num_frames, rng.getrandbits(32)
        )
        key = f"motion {direction} {colour} {shape} {lane} {num_frames}"
        user = phrase(
            rng, _TEMPLATES, x=shape if rng.random() < 0.5 else rng.choice(("shape", "thing", f"{colour} one"))
        )
        answer = f"It moves {direction}."
        return Problem(key, user, f"{colour}, {direction}.", answer, answer, direction, media=(clip,))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        return re.findall(r"moves (\w+)", reply)[-1:] == [problem.expected]
