"""Hours in minutes: mixed load on a server whose clients leave and which is killed; every answer is compared.

    python bench/soak.py --minutes 30
    python bench/soak.py --minutes 30 --model MODEL

First every request is asked once, alone, and its answer kept. Then clients ask them at random, streamed and not, over
four APIs; a part of them leave in the middle. In the first half of the time the server lives, and after every round it
must stand with no page in use and no more memory than before. In the second half every other round ends with kill -9,
and the next server goes on from the same `--kv-dir`. The last line is JSON; exit code 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from moonlet.evals.speed import json_line
from server_process import ServerProcess

LEAVE_SHARE = 0.2
"""Of the requests, those whose client leaves before the end."""
MOST_GROWTH = 0.02
_TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, which has one answer."""

    path: str
    body: dict[str, Any]


def asks(rng: random.Random) -> list[Ask]:
    """Chat with and without thinking, forced calls, JSON, the other two APIs, and raw prompts that begin alike."""
    found = []
    for number in range(40):
        low, high = sorted(rng.sample(range(1, 99), 2))
        kinds = ["Which one is bigger, {0}.11 or {0}.9?", "Sort: {1}, {0}, {2}", "Reverse: ab{1}cd{0}"]
        question = rng.choice(kinds).format(low, high, number)
        turn = {"role": "user", "content": question}
        limits = {"seed": number, "max_tokens": rng.choice([20, 60, 150])}
        match number % 5:
            case 0:
                thinking = {"type": "enabled" if number % 2 else "disabled"}
                found.append(Ask("/v1/chat/completions", {"messages": [turn], "thinking": thinking, **limits}))
            case 1:
                tool = {"type": "function", "function": {"name": "weather", "parameters": _TOOL}}
                asked = {"messages": [turn], "tools": [tool], "tool_choice": "required", "seed": number}
                found.append(Ask("/v1/chat/completions", {**asked, "max_tokens": 200}))
            case 2:
                # The Messages API knows no seed; at temperature 0 none is needed.
                asked = {"messages": [turn], "max_tokens": limits["max_tokens"], "temperature": 0}
                found.append(Ask("/v1/messages", {**asked, "thinking": {"type": "adaptive"}}))
            case 3:
                asked = {"input": question, "max_output_tokens": limits["max_tokens"], "temperature": 0}
                found.append(Ask("/v1/responses", asked))
            case _:
                start = random.Random(number % 3).choices(range(500), k=1500)
                prompt = start[: rng.randint(10, 1500)] + rng.choices(range(500), k=rng.randint(1, 100))
                found.append(
                    Ask("/v1/completions", {"prompt": prompt, "logprobs": 2, "echo": number % 4 == 0, **limits})
                )
    return found


def whole(path: str, body: dict[str, Any]) -> Any:
    """What an answer says, without ids and counts."""
    match path:
        case "/v1/chat/completions":
            message = body["choices"][0]["message"]
            calls = [call["function"] for call in message.get("tool_calls", ())]
            return [message.get("reasoning_content") or "", message["content"], calls]
        case "/v1/messages":
            return [[block["type"], block.get("thinking", block.get("text"))] for block in body["content"]]
        case "/v1/responses":
            return [[item["type"], "".join(part["text"] for part in item["content"])] for item in body["output"]]
        case _:
            choice = body["choices"][0]
            return [choice["text"], choice["logprobs"]["token_logprobs"]]


def streamed(path: str, data: list[dict[str, Any]]) -> Any:
    """The same of a stream's events."""
    match path:
        case "/v1/chat/completions":
            reasoning, content, calls = "", "", []
            for delta in (choice["delta"] for chunk in data for choice in chunk["choices"]):
                reasoning += delta.get("reasoning_content") or ""
                content += delta.get("content") or ""
                for call in delta.get("tool_calls", ()):
                    if "id" in call:
                        calls.append({"name": call["function"]["name"], "arguments": ""})
                    calls[call["index"]]["arguments"] += call["function"]["arguments"]
            return [reasoning, content, calls]
        case "/v1/messages":
            blocks: list[list[str]] = []
            for event in data:
                if event["type"] == "content_block_start":
                    blocks.append([event["content_block"]["type"], ""])
                elif event["type"] == "content_block_delta":
                    blocks[event["index"]][1] += event["delta"].get("thinking", event["delta"].get("text", ""))
            return blocks
        case "/v1/responses":
            return whole(path, next(event["response"] for event in reversed(data) if "response" in event))
        case _:
            choices = [choice for chunk in data for choice in chunk["choices"]]
            logprobs = [value for choice in choices for value in choice["logprobs"]["token_logprobs"]]
            return ["".join(choice["text"] for choice in choices), logprobs]


async def _lines(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in response.aiter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line[6:])


class Soak:
    """Clients, the server they ask, and what was seen."""

    def __init__(self, model: str | None, folder: Path, rng: random.Random, num_clients: int) -> None:
        self._model = model
        self._folder = folder
        self._rng = rng
        self._num_clients = num_clients
        self._asks = asks(rng)
        self._expected: dict[int, Any] = {}
        self.counts: Counter[str] = Counter()
        self.resident_bytes: list[int] = []
        """After each round of the first server, once every request has been asked."""
        self.faults: list[str] = []

    def start(self, *, kept: bool = True) -> ServerProcess:
        """A server with few pages, so that some requests are preempted and prefixes given up all the time."""
        options = ["--context-length", "4096", "--cache-tokens", "8192", "--max-queue", "256"]
        options += ["--kv-dir", str(self._folder), "--kv-dir-gib", "0.01"] if kept else []
        return ServerProcess(self._model, options)

    async def learn(self, server: ServerProcess) -> None:
        """Ask everything once, alone."""
        async with httpx.AsyncClient(base_url=server.url, timeout=600) as client:
            for index, ask in enumerate(self._asks):
                self._expected[index] = await self._answer(client, ask, is_streamed=False)

    async def round(self, server: ServerProcess, seconds: float, *, kill: bool) -> None:
        """Load for a while. It ends in a standstill, which is checked, or with SIGKILL in the middle of it."""
        until = time.monotonic() + seconds
        # A connection each: one that was kept could be closed for idleness just as it is used again.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=server.url, timeout=600, limits=limits) as client:
            clients = [asyncio.create_task(self._client(client, until)) for _ in range(self._num_clients)]
            if kill:
                await asyncio.sleep(seconds * 0.9)
                server.kill()
                self.counts["kills"] += 1
                ended = await asyncio.gather(*clients, return_exceptions=True)
                broken = [error for error in ended if isinstance(error, BaseException)]
                self.faults += [repr(error) for error in broken if not isinstance(error, httpx.TransportError)]
                return
            await asyncio.gather(*clients)
            await self._check_standstill(client)

    async def _client(self, client: httpx.AsyncClient, until: float) -> None:
        while time.monotonic() < until:
            index = self._rng.randrange(len(self._asks))
            ask, is_streamed = self._asks[index], self._rng.random() < 0.6
            if self._rng.random() < LEAVE_SHARE:
                with_limit = self._answer(client, ask, is_streamed=is_streamed)
                try:
                    await asyncio.wait_for(with_limit, self._rng.random())
                except TimeoutError:
                    self.counts["left"] += 1
                continue
            found = await self._answer(client, ask, is_streamed=is_streamed)
            self.counts["answers"] += 1
            if found != self._expected[index]:
                self.counts["wrong"] += 1
                self.faults.append(f"{ask.path} {index}: found {found}, expected {self._expected[index]}")

    async def _answer(self, client: httpx.AsyncClient, ask: Ask, *, is_streamed: bool) -> Any:
        if not is_streamed:
            response = await client.post(ask.path, json=ask.body)
            response.raise_for_status()
            return whole(ask.path, response.json())
        async with client.stream("POST", ask.path, json={**ask.body, "stream": True}) as response:
            response.raise_for_status()
            return streamed(ask.path, [event async for event in _lines(response)])

    async def _check_standstill(self, client: httpx.AsyncClient) -> None:
        """Whoever left has been noticed within a moment."""
        for _ in range(100):
            lines = (await client.get("/metrics")).text.splitlines()
            values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
            if float(values["moonlet_cache_pages_used"]) == float(values["moonlet_requests_running"]) == 0:
                break
            await asyncio.sleep(0.1)
        else:
            self.faults.append(f"pages in use at a standstill: {values['moonlet_cache_pages_used']}")
        for name in ("requests_failed", "disk_files_refused"):
            if float(values.get(f"moonlet_{name}_total", 0)):
                self.faults.append(f"{name}: {values[f'moonlet_{name}_total']}")
        self.counts["standstills"] += 1

    @property
    def growth(self) -> float:
        """Of the resident memory of the first server, from its first round on."""
        first = self.resident_bytes[0]
        return max(self.resident_bytes) / first - 1


async def run(soak: Soak, minutes: float, round_s: float) -> None:
    """The two halves."""
    with soak.start(kept=False) as server:
        await soak.learn(server)
    with soak.start() as server:
        started = time.monotonic()
        while not soak.resident_bytes or time.monotonic() < started + minutes * 30:
            await soak.round(server, round_s, kill=False)
            soak.resident_bytes.append(server.resident_bytes())
            print(f"{soak.resident_bytes[-1] / 1e6:.1f} MB resident; {dict(soak.counts)}", flush=True)
    while time.monotonic() < started + minutes * 60:
        with soak.start() as server:
            await soak.round(server, round_s, kill=False)
            await soak.round(server, round_s, kill=True)
        print(f"killed; {dict(soak.counts)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="checkpoint directory or .gguf file; K25-nano if not given")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--round-s", type=float, default=60, help="seconds of load between two checks")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        soak = Soak(arguments.model, Path(name), random.Random(arguments.seed), arguments.clients)
        asyncio.run(run(soak, arguments.minutes, arguments.round_s))
    if soak.growth > MOST_GROWTH:
        soak.faults.append(f"resident memory grew by {soak.growth:.1%}, at most {MOST_GROWTH:.0%} are allowed")
    for fault in soak.faults:
        print(fault[:1000])
    facts = {"minutes": arguments.minutes, "growth": soak.growth, "resident_bytes": soak.resident_bytes}
    print(json_line("soak", {**facts, **soak.counts, "faults": len(soak.faults)}))
    sys.exit(bool(soak.faults))


if __name__ == "__main__":
    main()
