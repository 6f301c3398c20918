"""Reading values off a bar chart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from moonlet.train.pictures.base import COLOUR_NAMES, COLOURS, TOKEN_SIDE, Label
from moonlet.train.pictures.canvas import fill, finish, shade
from moonlet.train.pictures.fonts import text_width, write
from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase

_VALUE = (
    "what is the value of the {x} bar?",
    "how high is the {x} bar?",
    "how much is {x}?",
    "read the {x} bar.",
    "what value does the {x} bar have?",
    "what is the number of the {x} bar?",
)
_HIGHEST = (
    "which bar is the highest?",
    "which bar is highest?",
    "what is the highest bar?",
    "which bar is the largest?",
)
_LOWEST = ("which bar is the lowest?", "which bar is lowest?", "what is the lowest bar?", "which bar is the smallest?")
_STEP, _BASE, _ROWS = 9, 102, 4  # pixels a unit, where zero is, tokens down
SCALES = (1, 10)


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of 1 to 10 units beside an axis that shows 0, 5 and 10 times `scale`; one column of tokens a bar."""

    bars: tuple[tuple[str, int], ...]
    scale: int
    seed: int
    frames_per_second: None = None

    def draw(self) -> NDArray[np.uint8]:
        random = np.random.default_rng(self.seed)
        width = (len(self.bars) + 1) * TOKEN_SIDE
        ground = random.uniform(232, 255)
        canvas = np.full((1, _ROWS * TOKEN_SIDE, width, 3), ground, np.float32)
        frame = canvas[0]
        grey, ink = np.full(3, ground - random.uniform(20, 60), np.float32), np.full(3, 30, np.float32)
        for units in range(0, 11):
            if units % 5 == 0:
                fill(frame, TOKEN_SIDE - 4, _BASE - units * _STEP, width, 1, grey)
                text = str(units * self.scale)
                left = TOKEN_SIDE - 6 - text_width(text, "DejaVuSans", 10)
                write(frame[:, :TOKEN_SIDE], text, "DejaVuSans", 10, left, _BASE - units * _STEP, ink)
            else:
                fill(frame, TOKEN_SIDE - 2, _BASE - units * _STEP, 2, 1, ink)
        for column, (colour, units) in enumerate(self.bars, start=1):
            bar = int(random.integers(12, 21))
            left = column * TOKEN_SIDE + (TOKEN_SIDE - bar) // 2 + int(random.integers(-2, 3))
            fill(frame, left, _BASE - units * _STEP, bar, units * _STEP, shade(random, colour))
        fill(frame, TOKEN_SIDE - 1, _BASE, width, 1, ink)
        fill(frame, TOKEN_SIDE - 1, _BASE - 10 * _STEP, 1, 10 * _STEP, ink)
        return finish(random, canvas)

    def labels(self) -> list[Label]:
        columns = len(self.bars) + 1
        bottom = (_ROWS - 1) * columns
        labels = [Label("scale", token, SCALES.index(self.scale)) for token in range(bottom, bottom + columns)]
        labels.append(Label("colour", bottom, len(COLOURS)))
        for column, (colour, units) in enumerate(self.bars, start=1):
            labels.append(Label("colour", bottom + column, COLOUR_NAMES.index(colour)))
            labels.append(Label("height", bottom + column, units))
            labels.append(Label("place", bottom + column, column - 1))
        return labels


@dataclass(frozen=True, slots=True)
class Charts:
    """Two to four bars; their values, the highest and the lowest."""

    name: str = "charts"

    def sample(self, rng: Random, level: float) -> Problem:
        count = rng.randint(2, scaled(level, 3, 4))
        scale = rng.choice(SCALES)
        bars = tuple((colour, rng.randint(1, 10)) for colour in rng.sample(COLOUR_NAMES, count))
        chart = Chart(bars, scale, rng.getrandbits(32))
        work = ", ".join(f"{colour} {units * scale}" for colour, units in bars)
        key = f"chart {work}"
        heights = [units for _, units in bars]
        highest = rng.random() < 0.5
        extreme = max(heights) if highest else min(heights)
        if rng.random() < 0.35 and heights.count(extreme) == 1:
            colour = bars[heights.index(extreme)][0]
            word = "highest" if highest else "lowest"
            user = phrase(rng, _HIGHEST if highest else _LOWEST)
            answer = f"The {colour} bar is {word}."
            thinking = f"{work}. So {extreme * scale}, {colour}."
            return Problem(key, user, thinking, answer, f"{work}. {answer}", f"{colour} bar is {word}", media=(chart,))
        colour, units = rng.choice(bars)
        user = phrase(rng, _VALUE, x=colour)
        answer = f"The {colour} bar is {units * scale}."
        instant = f"{work}. {answer}"
        return Problem(key, user, f"{work}.", answer, instant, f"{colour} bar is {units * scale}", media=(chart,))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        said = re.findall(r"[Tt]he (\w+ bar is \w+)", reply)
        return said[-1:] == [problem.expected]
