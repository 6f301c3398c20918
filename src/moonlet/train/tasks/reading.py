"""Reading a written word or number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from moonlet.train.pictures.base import CHARACTERS, TOKEN_SIDE, Label
from moonlet.train.pictures.canvas import background, finish
from moonlet.train.pictures.fonts import FONTS, text_width, write
from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase
from moonlet.train.tasks.wordlist import payload_word

_TEMPLATES = (
    "what does it say?",
    "read this.",
    "read it.",
    "read the text.",
    "what is written here?",
    "what is written in the picture?",
    "what does the picture say?",
    "what does this image say?",
    "what is the text in the image?",
    "tell me what it says.",
)
SIZES = (18, 24)  # pixels; smaller ones put four letters into one token
SLOTS = 3  # characters whose middle lies in one token; narrower ones are the next token's or lost


@dataclass(frozen=True, slots=True)
class Writing:
    """A line of text in some font, size and place on a strip 28 pixels high."""

    text: str
    font: str
    size: int
    seed: int
    frames_per_second: None = None

    @property
    def width(self) -> int:
        needed = text_width(self.text, self.font, self.size) + 8
        return (int(needed) // TOKEN_SIDE + 1) * TOKEN_SIDE

    def _drawn(self) -> tuple[NDArray[np.uint8], list[float]]:
        random = np.random.default_rng(self.seed)
        canvas = background(random, 1, TOKEN_SIDE, self.width)
        dark_ground = canvas[0, 0, 0, 0] < 128
        ink = random.uniform(185, 255, 3) if dark_ground else random.uniform(0, 90, 3)
        room = self.width - text_width(self.text, self.font, self.size)
        left = random.uniform(2, max(room - 2, 3))
        middle = TOKEN_SIDE / 2 + random.uniform(-2, 2)
        middles = write(canvas[0], self.text, self.font, self.size, left, middle, ink.astype(np.float32))
        return finish(random, canvas, 16.0), middles

    def draw(self) -> NDArray[np.uint8]:
        return self._drawn()[0]

    def labels(self) -> list[Label]:
        _, middles = self._drawn()
        held: list[list[int]] = [[] for _ in range(self.width // TOKEN_SIDE)]
        for index, middle in enumerate(middles):
            held[min(int(middle) // TOKEN_SIDE, len(held) - 1)].append(index)
        labels = []
        for token, indices in enumerate(held):
            for slot in range(SLOTS):
                letter = CHARACTERS.index(self.text[indices[slot]]) if slot < len(indices) else len(CHARACTERS)
                labels.append(Label(f"character {slot}", token, letter))
            if indices:
                labels.append(Label("place", token, min(indices[0], 11)))
        return labels


@dataclass(frozen=True, slots=True)
class Reading:
    """Words of three to eight letters, numbers of one to five digits."""

    name: str = "reading"

    def sample(self, rng: Random, level: float) -> Problem:
        if rng.random() < 0.65:
            text = payload_word(rng, 3, scaled(level, 5, 8))
        else:
            text = "".join(rng.choice("0123456789") for _ in range(rng.randint(1, scaled(level, 3, 5))))
        picture = Writing(text, rng.choice(FONTS), rng.randint(*SIZES), rng.getrandbits(32))
        # Each character after its number: the number says which to look for, where none of those before it could.
        work = " ".join(f"{number}{character}" for number, character in enumerate(text, start=1)) + "."
        reply = f'It says "{text}".'
        user = phrase(rng, _TEMPLATES)
        return Problem(f"read {text}", user, work, reply, f"{work} {reply}", text, media=(picture,))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        said = re.findall(r'"([^"]*)"', reply)
        return said[-1:] == [problem.expected]
