"""What serving costs and carries: the table of floors, over HTTP against `moonlet serve`.

    python bench/serve.py                                             # K25-nano
    python bench/serve.py mid-q4_0.gguf --rival-python PYTHON         # beside llama.cpp's server
    python bench/serve.py mid-q4_0.gguf --only clients overhead

Prompts are random ids, but for the agent's, which are numbers. The last line is JSON.

clients   tokens a second of all together, the reading of 64-token prompts included
beside    time between tokens of one reply at p95: alone, and while another prompt is read, for --beside-s at most
agent     20 turns that each send the whole history and some more
overhead  decode of one reply over HTTP against `LLM.generate` in this process, lap by lap in turn
stream    processor time of the server's event loop for each token it sends, with 16 clients
rival     8 clients, ours and llama.cpp's server in turn
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from moonlet import LLM, SamplingParams
from moonlet.config import EngineOptions
from moonlet.evals.speed import json_line
from server_process import ServerProcess

CONTEXT, CACHE_TOKENS = 16384, 32768
NUM_IDS = 512
"""Ids that prompts are made of; every vocabulary has them."""
PROMPT_TOKENS = 64
AGENT_TURNS, AGENT_TOKENS, AGENT_REPLY_TOKENS = 20, 8192, 16
RIVAL_CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. floor: what the number must reach, `at_least` or at most."""

    what: str
    value: float
    unit: str = ""
    floor: float | None = None
    at_least: bool = True

    def text(self) -> str:
        line = f"{self.what:<66} {self.value:>9.4g} {self.unit:<9}"
        if self.floor is None:
            return line.rstrip()
        is_met = self.value >= self.floor if self.at_least else self.value <= self.floor
        sign = ">=" if self.at_least else "<="
        return f"{line} {sign} {self.floor:<5g} {'met' if is_met else 'MISSED'}"


@dataclass(slots=True)
class Read:
    """A reply as it came: the moment of each piece, nearly one a token, and the server's own counts."""

    started: float
    times: list[float] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)

    @property
    def ttft_s(self) -> float:
        return self.times[0] - self.started

    @property
    def num_tokens(self) -> int:
        return int(self.usage["completion_tokens"])


async def read(client: httpx.AsyncClient, prompt: Sequence[int], num_tokens: int, *, into: Read | None = None) -> Read:
    """A streamed reply of `num_tokens` to a raw prompt."""
    body = {"prompt": list(prompt), "max_tokens": num_tokens, "ignore_eos": True, "seed": 1}
    return await read_stream(client, "/v1/completions", body, into or Read(time.perf_counter()))


async def read_stream(client: httpx.AsyncClient, path: str, body: dict[str, Any], reply: Read) -> Read:
    """`reply`, filled while it comes."""
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    async with client.stream("POST", path, json=asked) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line[6:])
            reply.usage = chunk.get("usage") or reply.usage
            for choice in chunk["choices"]:
                text = choice["text"] if "text" in choice else choice["delta"].get("content")
                if text:
                    reply.times.append(time.perf_counter())
                    reply.text.append(text)
    return reply


async def read_all(client: httpx.AsyncClient, prompts: Sequence[Sequence[int]], num_tokens: int) -> float:
    """Tokens a second of replies to all `prompts` at once."""
    started = time.perf_counter()
    replies = await asyncio.gather(*(read(client, prompt, num_tokens) for prompt in prompts))
    return sum(reply.num_tokens for reply in replies) / (time.perf_counter() - started)


class ServeBench:
    """The measurements of one model."""

    def __init__(self, model: str | None, server: ServerProcess, client: httpx.AsyncClient, options: Any) -> None:
        self._model = model
        self._server = server
        self._client = client
        self._options = options
        self._random = random.Random(0)

    async def warm_up(self) -> None:
        """Reach every expert."""
        await read(self._client, self._prompt(256), 4)

    def _prompt(self, num_tokens: int) -> list[int]:
        return self._random.choices(range(NUM_IDS), k=num_tokens)

    def _prompts(self, count: int) -> list[list[int]]:
        return [self._prompt(PROMPT_TOKENS) for _ in range(count)]

    async def _numbers(self, num_tokens: int) -> str:
        """Random numbers, some `num_tokens` of them as text."""
        text = " ".join(str(self._random.randrange(1000)) for _ in range(num_tokens))
        ids = (await self._client.post("/tokenize", json={"prompt": text})).json()["tokens"]
        return str((await self._client.post("/detokenize", json={"tokens": ids[:num_tokens]})).json()["prompt"])

    async def clients(self) -> list[Row]:
        speeds = {}
        for count in (1, 4, 8, 16):
            speeds[count] = await read_all(self._client, self._prompts(count), self._options.num_tokens)
        rows = [Row(f"tokens a second, {count} clients", speed, "tokens/s") for count, speed in speeds.items()]
        return [*rows, Row("16 clients against one", speeds[16] / speeds[1], "x", 3)]

    async def beside(self) -> list[Row]:
        reply = Read(time.perf_counter())
        writing = asyncio.create_task(read(self._client, self._prompt(PROMPT_TOKENS), 10_000, into=reply))
        while len(reply.times) < 2 * self._options.num_tokens:
            await asyncio.sleep(0.01)
        started, num_alone = time.perf_counter(), len(reply.times)
        prompt = self._prompt(self._options.long_prompt)
        try:
            await asyncio.wait_for(read(self._client, prompt, 1), self._options.beside_s)
            what = f"while {len(prompt)} tokens were read in {time.perf_counter() - started:.1f} s"
        except TimeoutError:
            what = f"in the first {self._options.beside_s:g} s of reading {len(prompt)} tokens"
        writing.cancel()
        alone, beside = _p95(reply.times[:num_alone]), _p95(reply.times[num_alone:])
        return [
            Row("time between tokens at p95, alone", alone * 1e3, "ms"),
            Row(f"the same {what}", beside * 1e3, "ms"),
            Row("the second against the first", beside / alone, "x", 4, at_least=False),
        ]

    async def agent(self) -> list[Row]:
        messages: list[dict[str, str]] = []
        shares, ttfts, num_known = [], [], 0
        limits = {"max_tokens": AGENT_REPLY_TOKENS, "thinking": {"type": "disabled"}, "seed": 1}
        for _ in range(AGENT_TURNS):
            content = await self._numbers(AGENT_TOKENS // AGENT_TURNS - AGENT_REPLY_TOKENS)
            messages.append({"role": "user", "content": content})
            started = Read(time.perf_counter())
            reply = await read_stream(self._client, "/v1/chat/completions", {"messages": messages, **limits}, started)
            messages.append({"role": "assistant", "content": "".join(reply.text)})
            shares.append(reply.usage["prompt_tokens_details"]["cached_tokens"] / num_known if num_known else 1.0)
            ttfts.append(reply.ttft_s)
            num_known = reply.usage["prompt_tokens"]
        last = ttfts[-1]
        return [
            Row(f"agent of {AGENT_TURNS} turns, least share of history found in the cache", min(shares), "", 0.95),
            Row("time to first token, turn 2", ttfts[1] * 1e3, "ms"),
            Row(f"time to first token, turn {AGENT_TURNS}, {num_known} tokens", last * 1e3, "ms"),
            Row("the last against turn 2", last / ttfts[1], "x", 1.5, at_least=False),
        ]

    async def overhead(self) -> list[Row]:
        options = EngineOptions(
            num_threads=self._options.num_threads, context_length=CONTEXT, cache_tokens=CACHE_TOKENS
        )
        engine = LLM(self._model, options)
        params = SamplingParams(seed=1, max_tokens=self._options.num_tokens, ignore_eos=True)

        async def inside(prompt: list[int]) -> float:
            timings = (await asyncio.to_thread(engine.generate, prompt, params)).timings
            assert timings.decode_tokens_per_s is not None
            return 1 / timings.decode_tokens_per_s

        await inside(self._prompt(256))
        ours, served = [], []
        for lap in range(2 * self._options.laps):
            prompt = self._prompt(PROMPT_TOKENS)
            # Whoever comes second finds the machine as the first left it; so they take turns at that too.
            for is_inside in (True, False) if lap % 2 else (False, True):
                if is_inside:
                    ours.append(await inside(prompt))
                else:
                    served.append(_step_s((await read(self._client, prompt, self._options.num_tokens)).times))
        engine.close()
        lost = 1 - statistics.median(ours) / statistics.median(served)
        return [
            Row("decode in one process", 1 / statistics.median(ours), "tokens/s"),
            Row("decode over HTTP", 1 / statistics.median(served), "tokens/s"),
            Row("lost to the server", 100 * lost, "%", 3, at_least=False),
        ]

    async def stream(self) -> list[Row]:
        prompts = self._prompts(16)
        await read_all(self._client, prompts, self._options.num_tokens)
        before = self._server.loop_cpu_s()
        speed = await read_all(self._client, prompts, 4 * self._options.num_tokens)
        per_token = (self._server.loop_cpu_s() - before) / (16 * 4 * self._options.num_tokens)
        return [
            Row("streamed to 16 clients", speed, "tokens/s"),
            Row("one core's time for sending 1,000 tokens/s", 100_000 * per_token, "%", 30, at_least=False),
        ]

    async def rival(self) -> list[Row]:
        if self._options.rival_python is None or self._model is None or not Path(self._model).is_file():
            print("rival: left out; it needs a .gguf MODEL and --rival-python", flush=True)
            return []
        threads = self._options.num_threads or os.cpu_count() or 1
        with rival_server(self._options.rival_python, self._model, threads) as (name, url):
            async with httpx.AsyncClient(base_url=url, timeout=None) as client:
                await read(client, self._prompt(256), 4)
                ours, theirs = [], []
                for _ in range(self._options.laps):
                    prompts = self._prompts(RIVAL_CLIENTS)
                    theirs.append(await read_all(client, prompts, self._options.num_tokens))
                    ours.append(await read_all(self._client, prompts, self._options.num_tokens))
        middle, other = statistics.median(ours), statistics.median(theirs)
        return [
            Row(f"{RIVAL_CLIENTS} clients, moonlet", middle, "tokens/s"),
            Row(f"{RIVAL_CLIENTS} clients, {name}", other, "tokens/s"),
            Row("the first against the second", middle / other, "x", 1.5),
        ]


@contextmanager
def rival_server(python: str, model: str, num_threads: int) -> Iterator[tuple[str, str]]:
    """Name and address of llama.cpp's server. Raises RuntimeError where it cannot be had."""
    room = RIVAL_CLIENTS * 2048
    script = Path(__file__).with_name("rival_server.py")
    command = [python, str(script), model, *map(str, (num_threads, RIVAL_CLIENTS, room))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        answer = json.loads(process.stdout.readline() or '{"absent": "it ended"}')
        if "absent" in answer:
            raise RuntimeError(f"{python} has no llama.cpp server: {answer['absent']}; pip install xllamacpp there")
        yield answer["name"], answer["url"]
        process.stdin.close()


def _gaps(times: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def _p95(times: Sequence[float]) -> float:
    return statistics.quantiles(_gaps(times), n=20)[-1]


def _step_s(times: Sequence[float]) -> float:
    """Mean time of a token after the first."""
    return (times[-1] - times[0]) / (len(times) - 1)


async def measure(model: str | None, server: ServerProcess, options: Any) -> list[Row]:
    """What was asked for, printed as it is known."""
    rows: list[Row] = []
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=None, limits=limits) as client:
        bench = ServeBench(model, server, client, options)
        await bench.warm_up()
        for name in options.only or PARTS:
            part: Callable[[], Awaitable[list[Row]]] = getattr(bench, name)
            for row in await part():
                print(row.text(), flush=True)
                rows.append(row)
    return rows


PARTS = ("clients", "beside", "agent", "overhead", "stream", "rival")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="checkpoint directory or .gguf file; K25-nano if not given")
    parser.add_argument("--only", choices=PARTS, nargs="+")
    parser.add_argument("--num-tokens", type=int, default=64, help="tokens of each reply")
    parser.add_argument("--laps", type=int, default=3)
    parser.add_argument("--long-prompt", type=int, default=4096, help="tokens of the prompt read beside a reply")
    parser.add_argument("--beside-s", type=float, default=60, help="most seconds of watching that")
    parser.add_argument("--num-threads", type=int)
    parser.add_argument("--rival-python", help="an interpreter that has xllamacpp")
    options = parser.parse_args()
    served = ["--context-length", str(CONTEXT), "--cache-tokens", str(CACHE_TOKENS)]
    if options.num_threads is not None:
        served += ["--num-threads", str(options.num_threads)]
    with ServerProcess(options.model, served) as server:
        rows = asyncio.run(measure(options.model, server, options))
    table = {row.what: {"value": row.value, "unit": row.unit, "floor": row.floor} for row in rows}
    print(json_line("serve", {"model": options.model or "K25-nano", "rows": table}))


if __name__ == "__main__":
    main()
