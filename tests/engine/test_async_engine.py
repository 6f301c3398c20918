"""The face for coroutines gives what the other face gives."""

import asyncio

import pytest

from moonlet.engine import AsyncEngine, SamplingParams
from moonlet.errors import PromptError
from tests.fakes.engines import engine_of, hashing_model, reciting_model

QUESTION = [{"role": "user", "content": "which one is bigger?"}]
GREEDY = SamplingParams(temperature=0)


def test_a_chat_gives_the_same_events_and_reply():
    with engine_of(reciting_model("Compare.</think>9.9 is.")).stream_chat(QUESTION, sampling=GREEDY) as stream:
        expected = list(stream)

    async def read():
        engine = AsyncEngine(engine_of(reciting_model("Compare.</think>9.9 is.")))
        async with await engine.stream_chat(QUESTION, sampling=GREEDY) as found:
            events = [event async for event in found]
        return events, found.result, found.num_prompt_tokens

    events, reply, num_prompt_tokens = asyncio.run(read())
    assert "".join(event.text for event in events) == "".join(event.text for event in expected)
    assert (reply.content, reply.token_ids) == (stream.reply.content, stream.reply.token_ids)
    assert num_prompt_tokens == reply.usage.prompt_tokens


def test_a_request_is_checked_before_the_stream_is_there():
    async def ask():
        await AsyncEngine(engine_of(hashing_model())).stream_chat([{"role": "robot", "content": "x"}])

    with pytest.raises(PromptError, match="role"):
        asyncio.run(ask())


def test_leaving_the_block_ends_the_reply():
    async def read():
        engine = AsyncEngine(engine_of(hashing_model(), context_length=4096))
        async with await engine.stream_generate([1, 2, 3], SamplingParams(ignore_eos=True, seed=1)) as stream:
            await anext(stream)
        return stream.result

    result = asyncio.run(read())
    assert result.finish_reason == "cancelled"
    assert 0 < result.usage.completion_tokens < 4000
