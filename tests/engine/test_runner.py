import pytest

from moonlet.engine.runner import Runner
from moonlet.errors import ContextLengthError, PromptError
from tests.fakes.engines import hashing_model

VOCAB = 640


def test_a_prompt_that_cannot_run_is_refused_with_numbers():
    runner = Runner(hashing_model(), context_length=128)
    with pytest.raises(ContextLengthError, match=r"prompt: 128 tokens, the context holds 128 .* 4096"):
        runner.check_prompt([1] * 128)
    runner.check_prompt([1] * 127)
    with pytest.raises(PromptError, match="no tokens"):
        runner.check_prompt([])
    for bad in (-1, VOCAB):
        with pytest.raises(PromptError, match=f"found token id {bad}, expected ids from 0 to 639"):
            runner.check_prompt([1, bad])


def test_the_cache_holds_a_whole_context_whatever_is_asked():
    assert Runner(hashing_model(), context_length=200).cache.num_pages == 4
    assert Runner(hashing_model(), context_length=200, cache_tokens=64).cache.num_pages == 4
    assert Runner(hashing_model(), context_length=200, cache_tokens=640).cache.num_pages == 10
