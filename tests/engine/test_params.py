import math

import pytest

from moonlet.engine import SamplingParams, default_sampling
from moonlet.errors import PromptError


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("temperature", 2.1, "a number from 0 to 2"),
        ("temperature", -0.1, "a number from 0 to 2"),
        ("temperature", math.nan, "a number from 0 to 2"),
        ("temperature", True, "a number from 0 to 2"),
        ("temperature", "1", "a number from 0 to 2"),
        ("top_p", 0, "a number above 0 up to 1"),
        ("top_p", 1.5, "a number above 0 up to 1"),
        ("top_k", -1, "a whole number of at least 0"),
        ("top_k", 1.5, "a whole number of at least 0"),
        ("min_p", 1.01, "a number from 0 to 1"),
        ("repetition_penalty", 0, "a number from 0.001 to 1000"),
        ("repetition_penalty", math.inf, "a number from 0.001 to 1000"),
        ("presence_penalty", -2.5, "a number from -2 to 2"),
        ("frequency_penalty", 3, "a number from -2 to 2"),
        ("seed", 1.0, "a whole number"),
        ("max_tokens", -1, "a whole number of at least 0"),
        ("logprobs", 21, "a whole number from 0 to 20"),
        ("stop", "ab", "a tuple of strings"),
        ("stop", ["ab"], "a tuple of strings"),
        ("stop", ("a", 1), "a tuple of strings"),
        ("stop", ("a", ""), "at least one character"),
        ("stop", ("a",) * 17, "at most 16"),
        ("stop_token_ids", (-1,), "a whole number of at least 0"),
        ("stop_token_ids", (1.5,), "a tuple of token ids"),
        ("ignore_eos", 1, "true or false"),
    ],
)
def test_an_impossible_value_is_refused_by_name(field, value, expected):
    with pytest.raises(PromptError) as caught:
        SamplingParams(**{field: value})
    message = str(caught.value)
    assert message.startswith(f"{field}: found ")
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"temperature": 2},
        {"top_p": 1},
        {"top_k": 0},
        {"top_k": None},
        {"min_p": 1},
        {"presence_penalty": -2, "frequency_penalty": 2},
        {"seed": -5},
        {"seed": 2**80},
        {"logprobs": 0},
        {"stop": ("a",) * 16},
    ],
)
def test_the_ends_of_each_range_are_accepted(fields):
    SamplingParams(**fields)


def test_defaults_are_the_published_ones_of_each_mode():
    assert (default_sampling(True).temperature, default_sampling(True).top_p) == (1.0, 0.95)
    assert (default_sampling(False).temperature, default_sampling(False).top_p) == (0.6, 0.95)
