from __future__ import annotations

import math

import numpy as np
import pytest

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime
from moonlet.kernels.draw import draw, draw_reference

VOCAB = 2003
LARGEST = 1 - 2**-53

RULES = [
    {"top_p": 1.0},
    {"top_p": 0.95},
    {"top_p": 0.01},
    {"top_p": 0.999999},
    {"top_k": 0},
    {"top_k": 1},
    {"top_k": 50},
    {"top_k": 50, "top_p": 0.6},
    {"top_k": VOCAB + 5, "top_p": 0.9},
    {"top_k": 10**30},
    {"min_p": 0.1},
    {"min_p": 0.3, "top_p": 0.9, "top_k": 20, "temperature": 0.6},
    {"min_p": 1.0, "top_p": 0.95},
    {"temperature": 0.01},
    {"temperature": 2.0, "top_p": 0.5},
]


def random_logits(seed: int, size: int = VOCAB) -> np.ndarray:
    """Flat, as usual, peaked, and with many exact ties and forbidden tokens."""
    logits = np.random.default_rng(seed).standard_normal(size) * [0.3, 2.0, 8.0, 1.0][seed]
    if seed == 3:
        logits = np.round(logits * 2) / 2
        logits[::3] = -math.inf
    return logits.astype(np.float32)


def distribution(logits: np.ndarray, temperature=1.0, top_k=None, top_p=1.0, min_p=0.0) -> dict[int, float]:
    """Share of every token that can be drawn, by the definition in plain Python."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[: top_k or None]
    weights = {i: math.exp((float(logits[i]) - float(logits.max())) / temperature) for i in order}
    total, mass, kept = math.fsum(weights.values()), 0.0, []
    for i in order:
        if mass >= top_p * total and top_p < 1:
            break
        kept.append(i)
        mass += weights[i]
    kept = sorted(i for i in kept if weights[i] >= min_p)
    whole = math.fsum(weights[i] for i in kept)
    return {i: weights[i] / whole for i in kept if weights[i] > 0}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rules", RULES, ids=str)
def test_every_level_and_the_reference_give_each_token_its_share(rt: Runtime, seed: int, rules: dict) -> None:
    logits = random_logits(seed)
    rules = {"temperature": 1.0, **rules}
    edge, shares = 0.0, distribution(logits, **rules)
    for token_id, share in shares.items():
        # In float32 a weight is off by a millionth of itself at most, and a narrow share may move aside.
        if share > 1e-5:
            number = edge + share / 2
            assert draw(rt, logits, number, **rules) == draw_reference(logits, number, **rules) == token_id
        edge += share


def test_every_level_draws_the_same_tokens_of_a_whole_vocabulary(rt: Runtime, scalar_rt: Runtime) -> None:
    logits = (np.random.default_rng(9).standard_normal(163_840) * 3).astype(np.float32)
    numbers = np.random.default_rng(1).random(40)
    rules = {"temperature": 1.0, "top_p": 0.95}
    tokens = [draw(scalar_rt, logits, number, **rules) for number in numbers]
    assert [draw(rt, logits, number, **rules) for number in numbers] == tokens
    assert [draw_reference(logits, number, **rules) for number in numbers] == tokens


@pytest.mark.parametrize("size", [1, 15, 16, 17, 1000])
def test_among_equals_the_lowest_ids_stay(rt: Runtime, size: int) -> None:
    logits = np.full(size, -3.5, dtype=np.float32)
    for rules, kept in (({"top_k": 10}, min(10, size)), ({"top_p": 0.5}, -(-size // 2)), ({"min_p": 1.0}, size)):
        for find in (lambda *a, **k: draw(rt, *a, **k), draw_reference):
            drawn = {find(logits, (i + 0.5) / kept, temperature=1.0, **rules) for i in range(kept)}
            assert drawn == set(range(kept))


def test_weights_too_small_to_count_are_never_drawn(rt: Runtime) -> None:
    logits = np.array([-200, 3, -math.inf, 3, -200], dtype=np.float32)
    assert {draw(rt, logits, number, temperature=1.0) for number in (0.0, 0.4, 0.6, LARGEST)} == {1, 3}
    assert {draw(rt, logits, number, temperature=1e-300) for number in (0.0, LARGEST)} == {1, 3}


def test_a_row_of_the_wrong_shape_is_named(rt: Runtime) -> None:
    with pytest.raises(ShapeError, match="draw: logits"):
        draw(rt, np.zeros((1, 5), dtype=np.float32), 0.5, temperature=1.0)
    with pytest.raises(ShapeError, match="at least one"):
        draw(rt, np.zeros(0, dtype=np.float32), 0.5, temperature=1.0)
