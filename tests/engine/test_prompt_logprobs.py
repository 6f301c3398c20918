"""Log-probabilities of a prompt are those that decoding the same tokens gave, bit for bit, whatever runs beside it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from moonlet.engine import AsyncEngine, Completion, Engine, SamplingParams, runner
from moonlet.errors import PromptError
from tests.engine.test_equality import FORMS, PARAMS, PROMPT, assert_same, llm

SCORE = SamplingParams(seed=1, max_tokens=0, prompt_logprobs=5)


def decoded(engine: Engine, prompt: list[int], num_tokens: int) -> Completion:
    return engine.generate(prompt, replace(PARAMS, max_tokens=num_tokens))


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rows of logits at a time."""
    monkeypatch.setattr(runner, "_SCORED_BYTES", 7 * 4 * llm("int8", "bf16").tokenizer.vocab_size)


@pytest.mark.parametrize(("activations", "dense"), FORMS)
def test_the_scores_of_a_reply_are_those_it_was_decoded_with(activations, dense):
    engine = llm(activations, dense)
    prompt = engine.tokenizer.encode(PROMPT)
    reply = decoded(engine, prompt, 100)
    scored = engine.generate([*prompt, *reply.token_ids], SCORE)
    assert len(scored.prompt_logprobs) == len(prompt) + 100 - 1
    assert scored.prompt_logprobs[len(prompt) - 1 :] == reply.logprobs
    assert [one.token_id for one in scored.prompt_logprobs] == [*prompt, *reply.token_ids][1:]
    assert scored.usage.cached_tokens == 0, "a latent found in the cache has no logits"


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("chunk_size", [1, 7, 64, 512])
def test_chunks_and_threads_change_no_bit_of_a_score(chunk_size, num_threads):
    expected = llm("int8", "bf16").generate(PROMPT, SCORE).prompt_logprobs
    assert llm("int8", "bf16", chunk_size, num_threads).generate(PROMPT, SCORE).prompt_logprobs == expected


@pytest.mark.usefixtures("small_steps")
def test_small_steps_and_cached_pages_change_no_bit_and_pages_are_left_for_others():
    engine = llm("int8", "bf16")
    prompt = engine.tokenizer.encode(PROMPT)
    expected = engine.generate(prompt, PARAMS)
    first, second = engine.generate(prompt, SCORE), engine.generate(prompt, SCORE)
    assert first.prompt_logprobs == second.prompt_logprobs
    engine.forget()
    assert engine.generate(prompt, SCORE).prompt_logprobs == first.prompt_logprobs
    found = engine.generate(prompt, PARAMS)
    assert found.usage.cached_tokens == len(prompt) - 1
    assert_same(found, expected)


@pytest.mark.usefixtures("small_steps")
def test_prompts_are_scored_beside_replies_and_through_preemptions():
    rng = random.Random(7)
    starts = [[rng.randrange(600) for _ in range(150)] for _ in range(2)]
    requests = []
    for _ in range(24):
        prompt = [*rng.choice(starts)[: rng.randint(20, 150)], *rng.choices(range(600), k=rng.randint(1, 60))]
        params = SamplingParams(seed=rng.randrange(9), max_tokens=rng.choice([0, 1, 30]), logprobs=3, ignore_eos=True)
        requests.append((prompt, replace(params, prompt_logprobs=rng.choice([None, 2]))))
    requests = [(prompt, params) for prompt, params in requests if params.max_tokens or params.prompt_logprobs]

    async def ask(engine: Engine, prompt: list[int], params: SamplingParams) -> Completion:
        async with await AsyncEngine(engine).stream_generate(prompt, params) as stream:
            async for _ in stream:
                pass
        return stream.result

    async def all_at_once(engine: Engine) -> list[Completion]:
        return await asyncio.gather(*(ask(engine, *request) for request in requests))

    engine = llm("int8", "bf16", chunk_size=48, num_threads=2, context_length=256, cache_tokens=512)
    found = asyncio.run(all_at_once(engine))
    assert engine.stats().num_preempted > 0
    pool = engine._worker.core.pool
    engine.forget()
    pool.check()
    assert pool.allocator.num_held == 0
    alone = llm("int8", "bf16")
    for (prompt, params), one in zip(requests, found, strict=True):
        alone.forget()
        expected = alone.generate(prompt, params)
        assert_same(one, expected)
        assert one.prompt_logprobs == expected.prompt_logprobs
        assert len(one.prompt_logprobs) == (0 if params.prompt_logprobs is None else len(prompt) - 1)


def test_no_token_is_made_where_none_is_wanted():
    engine = llm("int8", "bf16")
    read = engine.generate([5, 6, 7], replace(SCORE, prompt_logprobs=None))
    assert (read.token_ids, read.finish_reason, read.usage.completion_tokens) == ((), "length", 0)
    assert engine.generate([5], SCORE).prompt_logprobs == ()
    assert engine.stats().counts.num_finished == 2


@pytest.mark.parametrize("given", [{"prompt_logprobs": 1}, {"max_tokens": 0}])
def test_a_turn_of_a_conversation_is_not_scored(given):
    with pytest.raises(PromptError, match=next(iter(given))):
        llm("int8", "bf16").chat([{"role": "user", "content": "hi"}], sampling=SamplingParams(**given))
