import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from moonlet.engine.params import SamplingParams
from moonlet.engine.random import uniform
from moonlet.engine.sampler import Sampler, distribution, draw, logprobs
from moonlet.errors import CheckpointError, ConstraintError

VOCAB = 2000


def random_logits(seed: int, size: int = VOCAB, scale: float = 2.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(size) * scale).astype(np.float32)


def plain_distribution(logits: np.ndarray, params: SamplingParams) -> np.ndarray:
    """The definition, with a sort: what the fast path must equal."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    if params.top_k:
        order = order[: params.top_k]
    weights = {i: math.exp((float(logits[i]) - float(logits.max())) / params.temperature) for i in order}
    total, mass, kept = math.fsum(weights.values()), 0.0, []
    for i in order:
        if mass >= params.top_p * total and params.top_p < 1:
            break
        kept.append(i)
        mass += weights[i]
    kept = [i for i in kept if weights[i] >= params.min_p]
    result = np.zeros(len(logits))
    for i in kept:
        result[i] = weights[i]
    return result


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "fields",
    [
        {"top_p": 1.0},
        {"top_p": 0.95},
        {"top_p": 0.01},
        {"top_p": 0.999999},
        {"top_k": 1},
        {"top_k": 50, "top_p": 1.0},
        {"top_k": 50, "top_p": 0.6},
        {"top_k": VOCAB + 5, "top_p": 0.9},
        {"min_p": 0.1, "top_p": 1.0},
        {"min_p": 0.3, "top_p": 0.9, "top_k": 20, "temperature": 0.6},
        {"temperature": 0.01},
        {"temperature": 2.0, "top_p": 0.5},
        {"min_p": 1.0},
    ],
)
def test_distribution_equals_its_definition(seed, fields):
    params = SamplingParams(**fields)
    logits = random_logits(seed, scale=[0.3, 2.0, 8.0, 1.0][seed])
    if seed == 3:  # many exact ties
        logits = np.round(logits * 2) / 2
    expected, found = plain_distribution(logits, params), distribution(logits, params)
    assert np.array_equal(found > 0, expected > 0)
    assert np.abs(found - expected).max() < 1e-12


def test_equal_logits_are_cut_by_lowest_id():
    logits = np.zeros(1000, dtype=np.float32)
    assert np.flatnonzero(distribution(logits, SamplingParams(top_k=10, top_p=1.0))).tolist() == list(range(10))
    assert np.flatnonzero(distribution(logits, SamplingParams(top_p=0.5))).tolist() == list(range(500))


def test_greedy_takes_the_lowest_id_among_equals():
    logits = np.array([0, 3, 1, 3, 3], dtype=np.float32)
    assert Sampler(SamplingParams(temperature=0), 0, 5, []).sample(logits)[0] == 1


def test_a_tiny_temperature_is_obeyed_without_overflow():
    logits = np.array([0, 3, 1, 2.99], dtype=np.float32)
    for temperature in (1e-3, 1e-30, 1e-300):
        params = SamplingParams(temperature=temperature, top_p=1.0)
        with np.errstate(all="raise", under="ignore", over="ignore"):
            assert Sampler(params, 7, 4, []).sample(logits)[0] == 1


def test_draw_follows_the_weights_and_never_picks_a_zero():
    weights = np.zeros(2000)
    weights[[3, 700, 701, 1999]] = [1.0, 0.5, 0.25, 0.25]
    counts = dict.fromkeys((3, 700, 701, 1999), 0)
    n = 20000
    for step in range(n):
        counts[draw(weights, uniform(11, step))] += 1
    for index, count in counts.items():
        probability = weights[index] / 2
        # Five standard deviations of a binomial.
        assert abs(count - n * probability) < 5 * math.sqrt(n * probability * (1 - probability))
    assert draw(weights, 0.0) == 3
    assert draw(weights, 1 - 2**-53) == 1999


def test_random_numbers_are_uniform_and_depend_on_seed_and_step():
    numbers = np.array([uniform(seed, step) for seed in range(20) for step in range(2000)])
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert abs(numbers.mean() - 0.5) < 5 * math.sqrt(1 / 12 / len(numbers))
    histogram = np.histogram(numbers, 100)[0]
    chi_square = ((histogram - 400) ** 2 / 400).sum()
    assert chi_square < 99 + 5 * math.sqrt(2 * 99)
    assert len(set(numbers)) == len(numbers)
    assert uniform(-1, 0) == uniform(2**64 - 1, 0)


def test_a_seed_fixes_the_tokens_whatever_torch_does():
    logits = [random_logits(i) for i in range(30)]
    runs = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        sampler = Sampler(SamplingParams(logprobs=3), 42, VOCAB, [])
        runs.append([sampler.sample(row) for row in logits])
        torch.rand(5)
    assert runs[0] == runs[1]
    other = Sampler(SamplingParams(), 43, VOCAB, [])
    assert [other.sample(row)[0] for row in logits] != [token_id for token_id, _ in runs[0]]


def test_penalties_follow_their_formulas():
    logits = np.array([2.0, -2.0, 1.0, 0.5], dtype=np.float32)
    params = SamplingParams(
        temperature=0, repetition_penalty=2.0, presence_penalty=0.25, frequency_penalty=0.5, logprobs=0
    )
    sampler = Sampler(params, 0, 4, prompt_ids=[1, 1])
    # 2.0, -4.0 (seen in the prompt), 1.0, 0.5: token 0.
    token_id, reported = sampler.sample(logits)
    assert token_id == 0
    # Now token 0 counts once in the output: 2.0 / 2 - 0.5 - 0.25 = 0.25, so token 2 (1.0) is next, then token 3.
    assert sampler.sample(logits)[0] == 2
    # 2: 1.0 / 2 - 0.75 = -0.25.
    assert sampler.sample(logits)[0] == 3
    # 3: 0.5 / 2 - 0.75 = -0.5. Token 0 is best again, then 2.0 / 2 - 1.0 - 0.25 = -0.25 ties with token 2.
    assert sampler.sample(logits)[0] == 0
    # Reported from the unmodified distribution.
    assert reported.chosen == pytest.approx(2.0 - math.log(sum(map(math.exp, logits.tolist()))), abs=1e-6)
    assert logits.tolist() == [2.0, -2.0, 1.0, 0.5]


def test_logprobs_are_those_of_the_model_sorted_by_probability_then_id():
    logits = random_logits(5, 700)
    logits[[10, 20]] = logits.max() + 1
    found = logprobs(logits, 33, 20)
    expected = torch.log_softmax(torch.from_numpy(logits).double(), 0).numpy()
    order = sorted(range(700), key=lambda i: (-logits[i], i))[:20]
    assert [token_id for token_id, _ in found.top] == order
    assert [value for _, value in found.top] == pytest.approx(expected[order], abs=1e-12)
    assert found.chosen == pytest.approx(expected[33], abs=1e-12)
    assert logprobs(logits, 1, 0).top == ()
    assert len(logprobs(logits[:5], 1, 20).top) == 5


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_not_numbers_are_refused(bad):
    logits = random_logits(1)
    logits[7] = bad
    with pytest.raises(CheckpointError, match=r"inspect --check"):
        Sampler(SamplingParams(), 1, VOCAB, []).sample(logits)


def test_ids_beyond_the_vocabulary_are_never_chosen():
    logits = np.zeros(100, dtype=np.float32)
    logits[90:] = 50
    assert Sampler(SamplingParams(temperature=0), 1, 90, []).sample(logits)[0] == 0


@pytest.mark.parametrize("scale", [1.0, 3.0, 8.0])
def test_a_token_of_the_whole_vocabulary_takes_milliseconds(scale):
    """About 1.5 ms here for the flattest; the bound leaves room for a busy machine, and a sort would not fit in it."""
    logits = random_logits(9, 163_840, scale)
    sampler = Sampler(SamplingParams(), 1, len(logits), [])
    times = []
    for _ in range(15):
        start = time.perf_counter()
        sampler.sample(logits)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.006


class Allowing:
    """A constraint that allows the tokens of each step in turn, and any where it has None."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.accepted = []

    def fill_mask(self, mask):
        allowed = self.steps[len(self.accepted)]
        if allowed is None:
            return False
        mask[:] = 0
        for token_id in allowed:
            mask[token_id // 32] |= np.uint32(1 << token_id % 32)
        return True

    def accept(self, token_id):
        self.accepted.append(token_id)

    @property
    def is_finished(self):
        return len(self.accepted) == len(self.steps)


@pytest.mark.parametrize("params", [SamplingParams(temperature=0), SamplingParams(top_k=3), SamplingParams(min_p=0.1)])
def test_a_constraint_decides_what_may_be_chosen_and_not_what_is_reported(params):
    rng = np.random.default_rng(3)
    constraint = Allowing({5, 33, 99}, None, {64})
    params = replace(params, logprobs=2)
    sampler = Sampler(params, 1, 100, [], constraint)
    for allowed in ({5, 33, 99}, set(range(100)), {64}):
        assert not sampler.is_finished
        logits = rng.normal(size=100).astype(np.float32) * 3
        token_id, reported = sampler.sample(logits)
        assert token_id in allowed
        assert reported == logprobs(logits, token_id, 2)
    assert len(constraint.accepted) == 3
    assert sampler.is_finished


def test_a_constraint_that_allows_nothing_fails_by_name():
    with pytest.raises(ConstraintError, match="allows no token"):
        Sampler(SamplingParams(), 1, 100, [], Allowing(set())).sample(np.zeros(100, dtype=np.float32))
