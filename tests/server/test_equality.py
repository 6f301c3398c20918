"""64 mixed requests over HTTP get the same tokens and log-probabilities alone and all at once, with a folder or not."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

import httpx

from moonlet.cache import DiskTier, KvFolder
from moonlet.engine import Engine
from tests.engine.test_equality import llm
from tests.fakes.http_server import context_of, running
from tests.server.replies import FIND

NUM_REQUESTS, NUM_LEFT = 64, 8
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ANSWER = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
Ask = tuple[str, dict[str, Any]]


def requests() -> list[Ask]:
    """Of four kinds, greedy and seeded, with beginnings that several share."""
    rng = random.Random(7)
    openings = ["Which is the bigger one? " * count for count in (1, 3, 6)]
    asks = []
    for index in range(NUM_REQUESTS):
        text = rng.choice(openings) + str(rng.randrange(20))
        sampling = {"temperature": 0} if rng.random() < 0.5 else {"seed": rng.randrange(9), "temperature": 1.0}
        fields: dict[str, Any] = {**sampling, "max_tokens": rng.randint(1, 16)}
        if index % 4 == 0:
            asks.append((COMPLETIONS, {**fields, "prompt": text, "logprobs": 3}))
            continue
        fields |= {"messages": [{"role": "user", "content": text}], "logprobs": True, "top_logprobs": 3}
        kind = ({}, {"tools": [FIND], "tool_choice": "required"}, {"response_format": ANSWER})[index % 4 - 1]
        asks.append((CHAT, {**fields, **kind, "think": bool(rng.randrange(2))}))
    return asks


def said(response: httpx.Response) -> Any:
    """What must not depend on company: everything sampled, markers and thinking among it, and why it ended."""
    assert response.status_code == 200, response.text
    (choice,) = response.json()["choices"]
    return choice


def all_at_once(engine: Engine, asks: list[Ask], left: set[int]) -> list[Any]:
    """In random order and at random moments; some are left after their first line."""
    rng = random.Random(8)
    delays = [rng.random() * 0.5 for _ in asks]

    async def one(client: httpx.AsyncClient, index: int) -> Any:
        path, body = asks[index]
        await asyncio.sleep(delays[index])
        if index in left:
            with suppress(httpx.HTTPError):
                async with client.stream("POST", path, json={**body, "stream": True}) as response:
                    await anext(response.aiter_lines())
            return None
        return said(await client.post(path, json=body))

    async def run(url: str) -> list[Any]:
        limits = httpx.Limits(max_connections=NUM_REQUESTS)
        async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
            return await asyncio.gather(*(one(client, index) for index in range(len(asks))))

    with running(context_of(engine)) as url:
        return asyncio.run(run(url))


def test_64_mixed_requests_say_the_same_alone_and_all_at_once(tmp_path):
    asks = requests()
    left = set(random.Random(9).sample(range(NUM_REQUESTS), NUM_LEFT))
    alone = llm("int8", "bf16", context_length=1024)
    expected = []
    with running(context_of(alone)) as url, httpx.Client(base_url=url, timeout=120) as client:
        for path, body in asks:
            alone.forget()
            response = client.post(path, json=body)
            assert response.json()["usage"]["cached_tokens"] == 0
            expected.append(said(response))
    assert len({str(choice["logprobs"]) for choice in expected}) > NUM_REQUESTS // 2, "replies that tell requests apart"
    for _ in range(2):  # the second round starts from the folder that the first one left
        disk = DiskTier(KvFolder(tmp_path, 1 << 30), bytes(16))
        engine = llm("int8", "bf16", chunk_size=48, num_threads=2, context_length=1024, cache_tokens=4096, disk=disk)
        found = all_at_once(engine, asks, left)
        stats = engine.stats()
        engine.close()
        assert stats.counts.cached_tokens > 0
        assert stats.used_pages == 0
        for index, choice in enumerate(found):
            if index not in left:
                assert choice == expected[index], asks[index]
    assert stats.disk.num_loaded > 0
