"""Code from a picture: coloured boxes with labels become minimal HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from moonlet.train.pictures.base import CHARACTERS, COLOUR_NAMES, COLOURS, PATCH_SIDE, TOKEN_SIDE, Label
from moonlet.train.pictures.canvas import fill, finish, shade
from moonlet.train.pictures.fonts import FONTS, write
from moonlet.train.tasks.base import Problem, scaled
from moonlet.train.tasks.phrasing import phrase

_TEMPLATES = (
    "write the html.",
    "write html for this.",
    "turn this into html.",
    "make html from the picture.",
    "what is the html of this page?",
    "write a page that looks like this.",
    "convert this image to html.",
)
_LABEL_TEMPLATES = (
    "what is written on the boxes?",
    "which letters are on the boxes?",
    "list the boxes and their letters.",
    "what do the boxes say?",
    "read the boxes.",
)
_CELLS = 8  # the page is 8 x 8 patches; boxes begin and end on their lines
SIDE = _CELLS * PATCH_SIDE
HEAD = "<style>\ndiv{position:absolute}\n</style>\n"
_DIV = re.compile(
    r'<div id="\d+" style="left:(\d+)px;\s*top:(\d+)px;\s*width:(\d+)px;\s*height:(\d+)px;\s*'
    r'background:(\w+)">([^<]*)</div>'
)
RIGHT_OVERLAP = 0.8


@dataclass(frozen=True, slots=True)
class Box:
    """A coloured box with a label, in pixels."""

    left: int
    top: int
    width: int
    height: int
    colour: str
    label: str

    def html(self, number: int) -> str:
        """The div of this box, the page's `number`-th. Its id comes first, so that what follows knows whose it is."""
        place = f"left:{self.left}px;\ntop:{self.top}px;\nwidth:{self.width}px;\nheight:{self.height}px;\n"
        return f'<div id="{number}" style="{place}background:{self.colour}">{self.label}</div>\n'

    @property
    def area(self) -> int:
        return self.width * self.height

    def shared(self, other: Box) -> int:
        """Pixels that lie in both."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        down = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        return max(across, 0) * max(down, 0)


@dataclass(frozen=True, slots=True)
class Page:
    """Boxes that do not touch each other's inside, on white, in reading order of their upper left corners."""

    boxes: tuple[Box, ...]
    seed: int
    frames_per_second: None = None

    def draw(self) -> NDArray[np.uint8]:
        random = np.random.default_rng(self.seed)
        canvas = np.full((1, SIDE, SIDE, 3), random.uniform(240, 255), np.float32)
        face, size = FONTS[int(random.integers(3))], int(random.integers(14, 19))
        for box in self.boxes:
            fill(canvas[0], box.left, box.top, box.width, box.height, shade(random, box.colour))
            # Where a browser writes it, and in the token that knows the box's place.
            write(canvas[0], box.label, face, size, box.left + 2, box.top + 10, np.full(3, 255, np.float32))
        return finish(random, canvas, 8.0)

    def labels(self) -> list[Label]:
        across = SIDE // TOKEN_SIDE
        labels = []
        corners = {box.top // TOKEN_SIDE * across + box.left // TOKEN_SIDE: box for box in self.boxes}
        for place, (token, box) in enumerate(corners.items()):
            answers = {
                "place": place,
                "colour": COLOUR_NAMES.index(box.colour),
                "left": box.left // PATCH_SIDE,
                "top": box.top // PATCH_SIDE,
                "wide": box.width // PATCH_SIDE,
                "high": box.height // PATCH_SIDE,
                "character 0": CHARACTERS.index(box.label),
            }
            labels += [Label(head, token, answer) for head, answer in answers.items()]
        labels += [Label("colour", token, len(COLOURS)) for token in range(across * across) if token not in corners]
        return labels


def _random_boxes(rng: Random, count: int) -> tuple[Box, ...]:
    """Boxes at least two patches wide and high; fewer than `count` where no room is found."""
    boxes: list[Box] = []
    for _ in range(12 * count):
        if len(boxes) == count:
            break
        width, height = (rng.randint(2, 5) * PATCH_SIDE for _ in range(2))
        # Corners on the lines between tokens: a label that lay in two of them was never learnt.
        left, top = (rng.randint(0, (SIDE - size) // TOKEN_SIDE) * TOKEN_SIDE for size in (width, height))
        box = Box(left, top, width, height, rng.choice(COLOUR_NAMES), rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        if not any(box.shared(other) for other in boxes):
            boxes.append(box)
    # Reading order by tokens, as the model meets the corners.
    return tuple(sorted(boxes, key=lambda box: (box.top // TOKEN_SIDE, box.left // TOKEN_SIDE)))


def parse_page(html: str) -> tuple[Box, ...]:
    """The boxes that the emitted divs describe; anything else in the page is passed over."""
    return tuple(
        Box(int(left), int(top), int(width), int(height), colour, label)
        for left, top, width, height, colour, label in _DIV.findall(html)
    )


def mean_overlap(wanted: tuple[Box, ...], given: tuple[Box, ...]) -> float:
    """Mean intersection over union of boxes of one colour and label; boxes without a partner count 0."""
    left = list(given)
    total = 0.0
    for box in wanted:
        partners = [other for other in left if (other.colour, other.label) == (box.colour, box.label)]
        if partners:
            best = max(partners, key=box.shared)
            left.remove(best)
            total += box.shared(best) / (box.area + best.area - box.shared(best))
    return total / max(len(wanted), len(given), 1)


def _listed(boxes: tuple[Box, ...]) -> str:
    return ", ".join(f"{number} {box.colour} {box.label}" for number, box in enumerate(boxes, start=1)) + "."


def _key(boxes: tuple[Box, ...]) -> str:
    return "page " + " ".join(f"{box.left} {box.top} {box.width} {box.height} {box.colour}" for box in boxes)


@dataclass(frozen=True, slots=True)
class BoxLabels:
    """Which boxes a page has and what is written on them."""

    name: str = "box_labels"

    def sample(self, rng: Random, level: float) -> Problem:
        boxes = _random_boxes(rng, rng.randint(1, scaled(level, 2, 4)))
        reply = _listed(boxes)
        picture = Page(boxes, rng.getrandbits(32))
        user = phrase(rng, _LABEL_TEMPLATES, closers=False)
        return Problem(_key(boxes), user, "Boxes and letters.", reply, reply, reply, media=(picture,))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        return reply.strip() == problem.expected


@dataclass(frozen=True, slots=True)
class PageCode:
    """A page of one to four boxes on 112 x 112 pixels."""

    name: str = "page_code"
    grade_name: str = "mean overlap"

    def sample(self, rng: Random, level: float) -> Problem:
        boxes = _random_boxes(rng, rng.randint(1, scaled(level, 2, 4)))
        html = HEAD + "".join(box.html(number) for number, box in enumerate(boxes, start=1))
        picture = Page(boxes, rng.getrandbits(32))
        return Problem(
            _key(boxes), phrase(rng, _TEMPLATES, closers=False), _listed(boxes), html, html, html, media=(picture,)
        )

    def is_correct(self, problem: Problem, reply: str) -> bool:
        """Right if the boxes overlap those of the picture well enough on the mean."""
        return self.grade(problem, reply) >= RIGHT_OVERLAP

    def grade(self, problem: Problem, reply: str) -> float:
        """The mean overlap; 0 without the style that puts divs in their places."""
        return mean_overlap(parse_page(problem.expected), parse_page(reply)) if HEAD.strip() in reply else 0.0
