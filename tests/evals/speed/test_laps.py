"""Contestants take turns on the same prompts, and their rows follow from their laps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from moonlet.evals.speed import Case, Lap, Spread, race
from moonlet.kernels.ceiling import Ceiling


@dataclass
class Scripted:
    """Takes the seconds it is told to and notes what it was asked."""

    name: str
    speed: float
    asked: list[tuple[str, list[int], int]]
    laps: int = field(default=0)

    def lap(self, prompt: Sequence[int], following: Sequence[int]) -> Lap:
        self.asked.append((self.name, list(prompt), len(following)))
        self.laps += 1
        return Lap(prefill_s=len(prompt) / self.speed, step_s=1 / (self.speed + self.laps))


def values(spread: Spread | None) -> list[float]:
    assert spread is not None
    return [spread.low, spread.median, spread.high]


def test_contestants_alternate_on_the_same_prompts() -> None:
    asked: list[tuple[str, list[int], int]] = []
    contestants = [Scripted("ours", 100.0, asked), Scripted("theirs", 50.0, asked)]
    probes = [Ceiling(read, 2.0, 3.0) for read in (10.0, 20.0, 5.0, 7.0)]
    heats = list(race(contestants, Case((0, 8), num_steps=3, num_rounds=2, vocab_size=64), lambda: probes.pop(0)))
    assert [heat.ceiling for heat in heats] == [Ceiling(15.0, 2.0, 3.0), Ceiling(6.0, 2.0, 3.0)]
    assert [(name, len(prompt)) for name, prompt, _ in asked[:2]] == [("ours", 512), ("theirs", 512)]
    timed = asked[2:]
    assert [name for name, _, _ in timed] == ["ours", "theirs"] * 4
    assert [len(prompt) for _, prompt, _ in timed] == [1] * 4 + [8] * 4
    assert all(timed[i][1] == timed[i + 1][1] for i in range(0, 8, 2))
    assert timed[4][1] != timed[6][1]
    assert all(0 <= token_id < 64 for _, prompt, _ in timed for token_id in prompt)
    assert {steps for _, _, steps in timed} == {3}
    (ours_empty, _), (ours, theirs) = (heat.rows for heat in heats)
    assert ours_empty.prefill is None
    # The warm-up was lap 1 and is not counted.
    assert values(ours_empty.decode) == pytest.approx([102.0, 102.5, 103.0])
    assert values(ours.prefill) == pytest.approx([100.0, 100.0, 100.0])
    assert values(theirs.prefill) == pytest.approx([50.0, 50.0, 50.0])


def test_the_longest_lap_fits_the_context_reserved() -> None:
    assert Case((0, 4096), num_steps=32, num_rounds=1, vocab_size=64).context_length >= 4096 + 32 + 1
    assert Case((0,), num_steps=1, num_rounds=1, vocab_size=64).context_length >= 512 + 4 + 1
