"""At what second something happens in a video; the chunks' timestamps say when each begins."""

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

_WHEN = (
    "when does the {x} {does}?",
    "at what second does the {x} {does}?",
    "at which second does the {x} {does}?",
    "at what time does the {x} {does}?",
    "tell me when the {x} {happens}.",
    "after how many seconds does the {x} {does}?",
)
_VERBS = {"appear": "appears", "leave": "leaves"}
TOLERANCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    """A thing on 28 x 28 pixels that is there only from frame `at`, or only before it (`leaves`)."""

    thing: Thing
    leaves: bool
    at: int
    num_frames: int
    seed: int
    frames_per_second: float

    def draw(self) -> NDArray[np.uint8]:
        random = np.random.default_rng(self.seed)
        canvas = background(random, self.num_frames, TOKEN_SIDE, TOKEN_SIDE)
        tint = shade(random, self.thing.colour)
        for frame in canvas[: self.at] if self.leaves else canvas[self.at :]:
            paint(frame, self.thing, tint)
        return finish(random, canvas)

    def labels(self) -> list[Label]:
        colour, nothing = COLOUR_NAMES.index(self.thing.colour), len(COLOUR_NAMES)
        return [
            Label(
                f"frame {number % CHUNK_FRAMES}",
                number // CHUNK_FRAMES,
                colour if (number < self.at) == self.leaves else nothing,
            )
            for number in range(self.num_frames)
        ]


@dataclass(frozen=True, slots=True)
class EventTime:
    """Something appears or leaves within two to five chunks, filmed at two frames a second or at one."""

    name: str = "event_time"

    def sample(self, rng: Random, level: float) -> Problem:
        num_chunks = rng.randint(2, scaled(level, 3, 5))
        num_frames = CHUNK_FRAMES * num_chunks
        frames_per_second = 2.0 if rng.random() < 0.7 else 1.0
        at = rng.randint(1, num_frames - 1)
        verb = rng.choice(tuple(_VERBS))
        colour, shape = rng.choice(COLOUR_NAMES), rng.choice(SHAPE_NAMES)
        thing = Thing(colour, shape, 14 + rng.uniform(-3, 3), 14 + rng.uniform(-3, 3), rng.uniform(8, 12))
        clip = Event(thing, verb == "leave", at, num_frames, rng.getrandbits(32), frames_per_second)
        chunk, frame = divmod(at, CHUNK_FRAMES)
        starts = [int(CHUNK_FRAMES * number / frames_per_second) for number in range(num_chunks)]
        offset, seconds = frame / frames_per_second, at / frames_per_second
        # The chunks in turn: still as it was, until the one in which it changes.
        before = "".join(f"{start} no, " for start in starts[:chunk])
        work = f"{before}{starts[chunk]} yes: {starts[chunk]} + {offset} = {seconds}."
        key = f"event {verb} {colour} {shape} {at} {num_frames} {frames_per_second:g}"
        asked = rng.choice((shape, "shape", "thing", f"{colour} {shape}"))
        user = phrase(rng, _WHEN, x=asked, does=verb, happens=_VERBS[verb])
        answer = f"It {_VERBS[verb]} at {seconds} s."
        return Problem(key, user, work, answer, f"{work} {answer}", str(seconds), media=(clip,))

    def is_correct(self, problem: Problem, reply: str) -> bool:
        """Within a second is right."""
        said = re.findall(r" at (\d+(?:\.\d+)?) s", reply)
        return bool(said) and abs(float(said[-1]) - float(problem.expected)) <= TOLERANCE_S
