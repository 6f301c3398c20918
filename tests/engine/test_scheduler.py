"""Who runs when, told by the forward passes of a scripted model, and what a request gets, whatever else runs."""

import asyncio
import random
import threading

import pytest

from moonlet.engine import AsyncEngine, Engine, SamplingParams
from moonlet.engine.prefill_pace import MAX_STRETCH, PrefillPace
from moonlet.errors import ConstraintError, EngineClosedError, QueueFullError
from tests.fakes.engines import engine_of, hashing_model

PARAMS = SamplingParams(seed=3, max_tokens=8, logprobs=1, ignore_eos=True)


def engine(model=None, *, context_length=1024, chunk_size=64, **limits) -> Engine:
    return engine_of(model or hashing_model(), context_length=context_length, chunk_size=chunk_size, **limits)


def pool_of(engine):
    return engine._worker.core.pool


async def read(face, prompt, params=PARAMS, stop_after=None, constraint=None):
    async with await face.stream_generate(prompt, params, constraint=constraint) as stream:
        if stop_after is not None:
            for _ in range(stop_after):
                await anext(stream, None)
            return None
        async for _ in stream:
            pass
    return stream.result


def all_at_once(engine, *prompts, **arguments):
    async def run():
        face = AsyncEngine(engine)
        return await asyncio.gather(*(read(face, prompt, **arguments) for prompt in prompts))

    return asyncio.run(run())


def held_in_a_pass(model):
    """Holds the first pass until everybody is in the queue."""
    go_on = threading.Event()
    model.before_pass = lambda: go_on.wait(10)
    return go_on


def together(engine, model, prompts, params=PARAMS):
    """Results of prompts that are all queued before the second pass begins."""
    go_on = held_in_a_pass(model)

    async def run():
        face = AsyncEngine(engine)
        streams = [await face.stream_generate(prompt, params) for prompt in prompts]
        go_on.set()
        for stream in streams:
            async for _ in stream:
                pass
        return [stream.result for stream in streams]

    return asyncio.run(run())


def test_replies_take_their_steps_together():
    model = hashing_model()
    results = together(engine(model, chunk_size=1000), model, [[1, 2, 3], [4, 5], [6]])
    assert [result.usage.completion_tokens for result in results] == [8, 8, 8]
    # The first pass holds the first prompt alone; from then on there is a token of each in a pass.
    assert len(model.pass_sizes) <= 1 + 8 + 1
    assert max(model.pass_sizes[1:]) >= 3


def test_a_short_prompt_overtakes_a_long_one():
    model = hashing_model()
    order = []
    go_on = held_in_a_pass(model)

    async def run():
        face = AsyncEngine(engine(model, chunk_size=40))

        async def ask(name, stream):
            async for _ in stream:
                break
            order.append(name)

        long = await face.stream_generate(list(range(600)), PARAMS)
        short = await face.stream_generate([600, 601, 602], PARAMS)
        go_on.set()
        await asyncio.gather(ask("long", long), ask("short", short))

    asyncio.run(run())
    assert order == ["short", "long"]


def test_a_prompt_is_read_beside_replies_in_small_pieces():
    pace = PrefillPace(chunk_size=512)
    assert pace.budget(0) == 512, "nobody waits"
    for _ in range(20):
        pace.record(4, 0, 0.010)
    for _ in range(50):
        tokens = pace.budget(4)
        pace.record(4, tokens, 0.010 + 0.001 * tokens)
    assert 0.010 + 0.001 * pace.budget(4) == pytest.approx(0.010 * MAX_STRETCH, rel=0.1)


def test_requests_that_begin_alike_read_it_once():
    model = hashing_model()
    prefix = [i % 600 for i in range(320)]
    results = together(engine(model), model, [[*prefix, 1, 2], [*prefix, 3], [*prefix, 4, 5, 6]])
    assert [result.usage.cached_tokens for result in results] == [0, 320, 320]
    assert sum(model.pass_sizes) <= 320 + 6 + 3 * 7


def test_a_full_queue_refuses_with_a_hint_and_keeps_the_others():
    model = hashing_model()
    one = engine(model, max_running=1, max_queue=1)
    go_on = held_in_a_pass(model)

    async def run():
        face = AsyncEngine(one)
        streams = [await face.stream_generate([token], PARAMS) for token in (1, 2)]
        with pytest.raises(QueueFullError, match="2 requests are open") as refused:
            await face.stream_generate([3], PARAMS)
        assert refused.value.retry_after_s >= 1
        go_on.set()
        for stream in streams:
            async for _ in stream:
                pass
        await read(face, [3])

    asyncio.run(run())
    assert one.stats().counts.num_finished == 3


def test_preemption_loses_nothing():
    """Four replies of 260 tokens need 20 pages; there are 6."""
    params = SamplingParams(seed=3, max_tokens=200, logprobs=1, ignore_eos=True)
    prompts = [[token] * 60 for token in (1, 2, 3, 4)]
    alone = [engine().generate(prompt, params) for prompt in prompts]
    small = engine(context_length=320, cache_tokens=384)
    found = all_at_once(small, *prompts, params=params)
    assert small.stats().num_preempted > 0
    for result, expected in zip(found, alone, strict=True):
        assert (result.token_ids, result.logprobs) == (expected.token_ids, expected.logprobs)
        assert result.usage == expected.usage
    small.forget()
    pool_of(small).check()
    assert pool_of(small).allocator.num_held == 0


def test_a_reply_nobody_reads_gives_its_pages_to_one_that_is_read():
    small = engine(context_length=320)
    resting = small.stream_generate([1] * 250, SamplingParams(seed=1, max_tokens=20, ignore_eos=True))
    first = next(resting)
    whole = small.generate([2] * 250, PARAMS)
    assert whole.usage.completion_tokens == 8
    text = first + "".join(resting)
    assert text == engine().generate([1] * 250, SamplingParams(seed=1, max_tokens=20, ignore_eos=True)).text


def test_an_error_in_a_constraint_ends_its_own_request_alone():
    class Hostile:
        is_finished = False

        def fill_mask(self, mask):
            mask[:] = 0
            return True

        def accept(self, _):
            raise AssertionError

    async def run():
        face = AsyncEngine(shared)
        return await asyncio.gather(
            read(face, [1, 2], constraint=Hostile()), read(face, [3, 4]), return_exceptions=True
        )

    shared = engine()
    broken, whole = asyncio.run(run())
    assert isinstance(broken, ConstraintError)
    assert whole.token_ids == engine().generate([3, 4], PARAMS).token_ids
    assert shared.stats().counts.num_failed == 1


def test_closing_the_engine_ends_open_replies_by_name():
    model = hashing_model()
    closing = engine(model, context_length=4096)

    async def run():
        face = AsyncEngine(closing)
        stream = await face.stream_generate([1], SamplingParams(ignore_eos=True))
        await anext(stream)
        await face.close()
        with pytest.raises(EngineClosedError, match="was closed"):
            async for _ in stream:
                pass
        with pytest.raises(EngineClosedError, match="takes no more"):
            await face.stream_generate([1])

    asyncio.run(run())
    assert pool_of(closing).num_used == 0


def test_an_engine_nobody_refers_to_ends_its_thread():
    forgotten = engine()
    forgotten.generate([1], PARAMS)
    thread = forgotten._worker._thread
    del forgotten
    thread.join(10)
    assert not thread.is_alive()


def test_stats_count_what_happened():
    one = engine()
    prompt = list(range(200))
    one.generate(prompt, PARAMS)
    one.generate(prompt, PARAMS)
    stream = one.stream_generate([9] * 10, PARAMS)
    next(stream)
    stats = one.stats()
    assert (stats.num_running, stats.num_waiting, stats.used_pages) == (1, 0, 1)
    stream.close()
    one.forget()
    stats = one.stats()
    assert (stats.used_pages, stats.cached_pages, stats.total_pages) == (0, 0, 16)
    counts = stats.counts
    assert (counts.prompt_tokens, counts.cached_tokens) == (410, 199)
    assert (counts.num_finished, counts.num_cancelled, counts.num_failed) == (2, 1, 0)


@pytest.mark.parametrize("keeps_prefixes", [True, False])
def test_company_changes_nothing_a_request_gets(keeps_prefixes):
    """64 mixed requests arriving at random into a pool too small for them, a quarter of them left early."""
    rng = random.Random(7)
    starts = [[rng.randrange(640) for _ in range(100)] for _ in range(4)]
    requests = [
        (
            [*rng.choice(starts)[: rng.randint(1, 100)], *rng.choices(range(640), k=rng.randint(1, 80))],
            SamplingParams(seed=rng.randrange(99), max_tokens=rng.randint(1, 30), logprobs=2, ignore_eos=True),
            rng.randint(0, 4) if rng.random() < 0.25 else None,
        )
        for _ in range(64)
    ]
    small = engine(hashing_model(), context_length=320, cache_tokens=512, max_running=8)

    async def run():
        face = AsyncEngine(small)

        async def one(prompt, params, stop_after):
            await asyncio.sleep(rng.random() * 0.2)
            if not keeps_prefixes:
                await asyncio.to_thread(small.forget)
            return await read(face, prompt, params, stop_after)

        return await asyncio.gather(*(one(*request) for request in requests))

    found = asyncio.run(run())
    lone = engine()
    for (prompt, params, stop_after), result in zip(requests, found, strict=True):
        if stop_after is None:
            lone.forget()
            expected = lone.generate(prompt, params)
            assert (result.token_ids, result.logprobs) == (expected.token_ids, expected.logprobs)
    small.forget()
    pool_of(small).check()
    assert pool_of(small).allocator.num_held == 0
