"""The order of colours over time in a video."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from random import Random

import numpy as np
from numpy.typing import NDArray

from moonlet.train.pictures.base import CHUNK_FRAMES, COLOUR_NAMES, SHAPE_NAMES, TOKEN_SIDE, Label
from moonlet.train.pictures.canvas import Thing, background, finish, paint, shade
from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase

_ORDER = (
    "in what order do the colours come?",
    "what is the order of the colours?",
    "what is the order of the colors?",
    "which colours does it have, in order?",
    "list the colours in order.",
    "name the colors in order.",
)
_FIRST = ("which colour is first?", "what color is it at first?", "which colour does it have first?")
_LAST = ("which colour is last?", "what color is it in the end?", "which colour does it have last?")


@dataclass(frozen=True, slots=True)
class Changing:
    """One shape on 28 x 28 pixels whose colour changes; `colours` has one name a frame."""

    colours: tuple[str, ...]
    thing: Thing
    seed: int
    frames_per_second: float = 2.0

    def draw(self) -> NDArray[np.uint8]:
        random = np.random.default_rng(self.seed)
        canvas = background(random, len(self.colours), TOKEN_SIDE, TOKEN_SIDE)
        tints = {colour: shade(random, colour) for colour in dict.fromkeys(self.colours)}
        for frame, colour in zip(canvas, self.colours, strict=True):
            paint(frame, self.thing, tints[colour])
        return finish(random, canvas)

    def labels(self) -> list[Label]:
        return [
            Label(f"frame {number % CHUNK_FRAMES}", number // CHUNK_FRAMES, COLOUR_NAMES.index(colour))
            for number, colour in enumerate(self.colours)
        ]


def _stretches(rng: Random, count: int, num_frames: int) -> list[int]:
    """`count` lengths of at least two frames that add up to `num_frames`."""
    spare = num_frames - 2 * count
    cuts = sorted(rng.randint(0, spare) for _ in range(count - 1))
    return [2 + end - start for start, end in zip([0, *cuts], [*cuts, spare], strict=True)]


@dataclass(frozen=True, slots=True)
class ColourOrder:
    """Two to four colours in two to four chunks."""

    name: str = "colour_order"

    def sample(self, rng: Random, level: float) -> Problem:
        num_chunks = rng.randint(2, scaled(level, 3, 4))
        count = rng.randint(2, min(4, 2 * num_chunks - 1))
        order: list[str] = []
        while len(order) < count:
            order.append(rng.choice([colour for colour in COLOUR_NAMES if colour not in order[-1:]]))
        lengths = _stretches(rng, count, CHUNK_FRAMES * num_chunks)
        colours = tuple(colour for colour, length in zip(order, lengths, strict=True) for _ in range(length))
        thing = Thing("", rng.choice(SHAPE_NAMES), 14 + rng.uniform(-3, 3), 14 + rng.uniform(-3, 3), rng.uniform(8, 12))
        clip = Changing(colours, thing, rng.getrandbits(32))
        chunks = [colours[at : at + CHUNK_FRAMES] for at in range(0, len(colours), CHUNK_FRAMES)]
        work = "; ".join(", ".join(name for name, _ in groupby(chunk)) for chunk in chunks) + "."
        key = f"order {' '.join(colours)}"
        listed = ", ".join(order)
        kind = rng.random()
        if kind < 0.6:
            answer = f"{listed}."
            return Problem(key, phrase(rng, _ORDER), work, answer, f"{work} {answer}", listed, media=(clip,))
        at, templates, word = (0, _FIRST, "First") if kind < 0.8 else (-1, _LAST, "Last")
        answer = f"{word} it is {order[at]}."
        return Problem(key, phrase(rng, templates), work, answer, f"{work} {answer}", order[at], media=(clip,))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        if ", " in problem.expected:
            return reply.rstrip(".").rsplit(". ")[-1] == problem.expected
        return re.findall(r"it is (\w+)", reply)[-1:] == [problem.expected]
