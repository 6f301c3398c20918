"""Several requests at once: total speed, what a long prompt does to a reply beside it, and an agent's growing history.

    moonlet bench make-checkpoint --preset mid /tmp/mid
    python bench/serve_engine.py /tmp/mid
    python bench/serve_engine.py /tmp/mid --only clients --num-tokens 16

Everything runs in one process, on AsyncEngine, with random prompts. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise

from moonlet import LLM, SamplingParams
from moonlet.config import EngineOptions
from moonlet.engine import AsyncEngine, Completion

CLIENTS = (1, 4, 8, 16)
PROMPT_TOKENS = 64
AGENT_TURNS = 20
AGENT_TOKENS = 8192
AGENT_REPLY_TOKENS = 16


class ServeBench:
    """The three measurements. num_tokens: of each reply."""

    def __init__(self, engine: AsyncEngine, num_tokens: int, long_prompt_tokens: int) -> None:
        self._engine = engine
        self._long_prompt_tokens = long_prompt_tokens
        self._random = random.Random(0)
        self._num_tokens = num_tokens

    def _prompt(self, num_tokens: int) -> list[int]:
        return self._random.choices(range(self._engine.engine.tokenizer.vocab_size), k=num_tokens)

    async def _read(self, prompt: Sequence[int], num_tokens: int, times: list[float] | None = None) -> Completion:
        """A reply of exactly `num_tokens`; `times` gets the moment of each piece of text, nearly one a token."""
        params = SamplingParams(seed=1, max_tokens=num_tokens, ignore_eos=True)
        async with await self._engine.stream_generate(prompt, params) as stream:
            async for _ in stream:
                if times is not None:
                    times.append(time.perf_counter())
        return stream.result

    async def warm_up(self) -> None:
        """Reach every expert."""
        await self._read(self._prompt(256), 4)

    async def clients(self) -> dict[str, float]:
        """Tokens a second of all together, prompts included in the time; and against one client."""
        speeds = {}
        for num_clients in CLIENTS:
            prompts = [self._prompt(PROMPT_TOKENS) for _ in range(num_clients)]
            started = time.perf_counter()
            await asyncio.gather(*(self._read(prompt, self._num_tokens) for prompt in prompts))
            speeds[num_clients] = num_clients * self._num_tokens / (time.perf_counter() - started)
        result = {f"tokens_per_s_{count}": speed for count, speed in speeds.items()}
        return result | {"speedup_16": speeds[16] / speeds[1]}

    async def beside(self) -> dict[str, float]:
        """Time between tokens of one reply: alone, and while a long prompt is read beside it."""
        times: list[float] = []
        reply = asyncio.create_task(self._read(self._prompt(PROMPT_TOKENS), 100_000, times))
        while len(times) < 2 * self._num_tokens:
            await asyncio.sleep(0.01)
        started = time.perf_counter()
        await self._read(self._prompt(self._long_prompt_tokens), 1)
        ended = time.perf_counter()
        reply.cancel()
        alone = _p95([time for time in times if time < started])
        beside = _p95([time for time in times if started <= time < ended])
        return {
            "alone_p95_s": alone,
            "beside_p95_s": beside,
            "stretch_p95": beside / alone,
            "long_prompt_s": ended - started,
        }

    async def agent(self) -> dict[str, float]:
        """Turns that each send the whole history and some more, as an agent's loop does."""
        history: list[int] = []
        step = AGENT_TOKENS // AGENT_TURNS - AGENT_REPLY_TOKENS
        ttfts, shares = [], []
        for turn in range(AGENT_TURNS):
            num_known = len(history)
            history += self._prompt(step)
            result = await self._read(history, AGENT_REPLY_TOKENS)
            if turn and result.timings.ttft_s is not None:
                shares.append(result.usage.cached_tokens / num_known)
                ttfts.append(result.timings.ttft_s)
            history += result.token_ids
        return {
            "smallest_cached_share_of_history": min(shares),
            "ttft_turn_2_s": ttfts[0],
            f"ttft_turn_{AGENT_TURNS}_s": ttfts[-1],
            "ttft_ratio": ttfts[-1] / ttfts[0],
        }


def _p95(times: Sequence[float]) -> float:
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return statistics.quantiles(gaps, n=20)[-1]


async def measure(engine: AsyncEngine, bench: ServeBench, only: str | None) -> dict[str, float]:
    """What was asked for, after a warm-up that brings the weights into memory."""
    await bench.warm_up()
    parts = {"clients": bench.clients, "beside": bench.beside, "agent": bench.agent}
    result: dict[str, float] = {}
    for name, part in parts.items():
        if only in (None, name):
            found = await part()
            for key, value in found.items():
                print(f"{key:>34} {value:10.4g}", flush=True)
            result |= found
    await engine.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="checkpoint directory")
    parser.add_argument("--only", choices=("clients", "beside", "agent"))
    parser.add_argument("--num-tokens", type=int, default=32, help="tokens of each reply")
    parser.add_argument("--long-prompt", type=int, default=4096, help="tokens of the prompt read beside a reply")
    parser.add_argument("--num-threads", type=int)
    arguments = parser.parse_args()
    options = EngineOptions(num_threads=arguments.num_threads, context_length=16384, cache_tokens=32768)
    llm = LLM(arguments.model, options)
    engine = AsyncEngine(llm)
    bench = ServeBench(engine, arguments.num_tokens, arguments.long_prompt)
    result = asyncio.run(measure(engine, bench, arguments.only))
    print(json.dumps({"bench": "serve_engine", "model": arguments.model, **result}))


if __name__ == "__main__":
    main()
