import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from moonlet.engine.params import SamplingParams
from moonlet.engine.random import uniform
from moonlet.engine.sampler import Sampler, logprobs
from moonlet.errors import CheckpointError, ConstraintError
from moonlet.kernels import Runtime

VOCAB = 2000
RT = Runtime(num_threads=1)


def random_logits(seed: int, size: int = VOCAB, scale: float = 2.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(size) * scale).astype(np.float32)


def test_greedy_takes_the_lowest_id_among_equals():
    logits = np.array([0, 3, 1, 3, 3], dtype=np.float32)
    assert Sampler(RT, SamplingParams(temperature=0), 0, 5, []).sample(logits)[0] == 1


def test_a_tiny_temperature_is_obeyed_without_overflow():
    logits = np.array([0, 3, 1, 2.99], dtype=np.float32)
    for temperature in (1e-3, 1e-30, 1e-300):
        params = SamplingParams(temperature=temperature, top_p=1.0)
        with np.errstate(all="raise", under="ignore", over="ignore"):
            assert Sampler(RT, params, 7, 4, []).sample(logits)[0] == 1


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
        sampler = Sampler(RT, SamplingParams(logprobs=3), 42, VOCAB, [])
        runs.append([sampler.sample(row) for row in logits])
        torch.rand(5)
    assert runs[0] == runs[1]
    other = Sampler(RT, SamplingParams(), 43, VOCAB, [])
    assert [other.sample(row)[0] for row in logits] != [token_id for token_id, _ in runs[0]]


def test_penalties_follow_their_formulas():
    logits = np.array([2.0, -2.0, 1.0, 0.5], dtype=np.float32)
    params = SamplingParams(
        temperature=0, repetition_penalty=2.0, presence_penalty=0.25, frequency_penalty=0.5, logprobs=0
    )
    sampler = Sampler(RT, params, 0, 4, prompt_ids=[1, 1])
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
        Sampler(RT, SamplingParams(), 1, VOCAB, []).sample(logits)


def test_ids_beyond_the_vocabulary_are_never_chosen():
    logits = np.zeros(100, dtype=np.float32)
    logits[90:] = 50
    assert Sampler(RT, SamplingParams(temperature=0), 1, 90, []).sample(logits)[0] == 0


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
    sampler = Sampler(RT, params, 1, 100, [], constraint)
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
        Sampler(RT, SamplingParams(), 1, 100, [], Allowing(set())).sample(np.zeros(100, dtype=np.float32))
