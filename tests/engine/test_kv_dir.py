"""A folder of pages and replies changes what is computed again, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from moonlet import LLM
from moonlet.cache import PAGE_SIZE, DiskTier, KvFolder, disk
from moonlet.chat.replay import ReplayMemory
from moonlet.config import EngineOptions
from moonlet.engine import AsyncEngine, Completion, Engine, SamplingParams, scheduler
from moonlet.engine.load import load_model
from moonlet.errors import OptionError
from tests.chat.test_replay import PROMPT as QUESTION
from tests.chat.test_replay import odd_spelling
from tests.engine.test_equality import PARAMS, assert_same, cold, llm, loaded
from tests.fakes.engines import TINY, engine_of, hashing_model, reciting_model, tiny_tokenizer
from tests.server.replies import END_SECTION, SECTION, one_call

FINGERPRINT = bytes(range(16))
ROOMY = 1 << 30
PROMPT = random.Random(1).choices(range(600), k=300)


@contextmanager
def over(path: Path, budget_bytes: int = ROOMY, fingerprint: bytes = FINGERPRINT, **limits: int) -> Iterator[Engine]:
    """The tiny model with a folder, as a program that starts and ends."""
    engine = llm("int8", "bf16", disk=DiskTier(KvFolder(path, budget_bytes), fingerprint), **limits)
    yield engine
    engine.close()


def pages_of(path: Path) -> list[Path]:
    return list(path.glob("*.page"))


@pytest.fixture(scope="module")
def expected() -> Completion:
    return llm("int8", "bf16").generate(PROMPT, PARAMS)


@pytest.fixture
def saved(tmp_path: Path, expected: Completion) -> Path:
    """A folder after one run."""
    with over(tmp_path) as first:
        assert_same(first.generate(PROMPT, PARAMS), expected)
    assert len(pages_of(tmp_path)) == (len(PROMPT) + PARAMS.max_tokens - 1) // PAGE_SIZE
    return tmp_path


def test_a_restart_takes_every_full_page_and_changes_no_bit(saved, expected):
    with over(saved) as again:
        found = again.generate(PROMPT, PARAMS)
        assert found.usage.cached_tokens == len(PROMPT) // PAGE_SIZE * PAGE_SIZE
        assert again.stats().disk.num_loaded == len(PROMPT) // PAGE_SIZE
    assert_same(found, expected)


def test_what_memory_gave_up_comes_back_from_the_disk(saved, expected):
    with over(saved) as again:
        again.generate(PROMPT, PARAMS)
        again.forget()
        found = again.generate(PROMPT, PARAMS)
    assert found.usage.cached_tokens == len(PROMPT) // PAGE_SIZE * PAGE_SIZE
    assert_same(found, expected)


def test_after_a_restart_history_is_found_as_it_was_emitted(tmp_path):
    tokenizer = tiny_tokenizer()
    emitted = [*odd_spelling("the thing"), tokenizer.end_think_id, *odd_spelling("yes there"), tokenizer.im_end_id]
    prompt = tokenizer.encode_with_specials(QUESTION)
    history = tokenizer.split_specials(QUESTION + "the thing</think>yes there<|im_end|><|im_user|>and?")

    def read_with(fingerprint: bytes) -> list[int]:
        disk = DiskTier(KvFolder(tmp_path, ROOMY), fingerprint)
        found = ReplayMemory(tokenizer, 1000, disk).encode(history)
        disk.close()
        return found

    disk = DiskTier(KvFolder(tmp_path, ROOMY), FINGERPRINT)
    ReplayMemory(tokenizer, 1000, disk).remember(prompt, emitted)
    disk.close()
    anew = tokenizer.encode_pieces(history)
    assert read_with(FINGERPRINT) == [*prompt, *emitted, *tokenizer.encode_with_specials("<|im_user|>and?")] != anew
    assert read_with(bytes(16)) == anew


def test_a_conversation_goes_on_after_a_restart(tmp_path):
    messages = [{"role": "user", "content": "Say something odd."}]
    sampling = SamplingParams(seed=5, max_tokens=150)

    def started() -> Engine:
        return engine_of(hashing_model(), disk=DiskTier(KvFolder(tmp_path, ROOMY), FINGERPRINT))

    first = started()
    reply = first.chat(messages, thinking=False, sampling=sampling)
    follow_up = [*messages, reply.to_message(), {"role": "user", "content": "And then?"}]
    first.forget()
    warm = first.chat(follow_up, thinking=False, sampling=sampling)
    first.close()
    again = started()
    found = again.chat(follow_up, thinking=False, sampling=sampling)
    again.close()
    assert found.token_ids == warm.token_ids
    assert found.usage.cached_tokens > 0


def test_calls_that_come_back_in_another_spelling_are_found_after_a_restart(tmp_path):
    find = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
    arguments = json.dumps({"q": " ".join(["what"] * 100)})
    messages = [{"role": "user", "content": "Find it."}]

    def started() -> Engine:
        said = f"</think>{SECTION}{one_call('find', 0, arguments)}{END_SECTION}"
        model = reciting_model(said, "Found.</think>There.")
        return engine_of(model, disk=DiskTier(KvFolder(tmp_path, ROOMY), FINGERPRINT))

    first = started()
    reply = first.chat(messages, tools=[find], sampling=SamplingParams(seed=1))
    first.close()
    assistant = reply.to_message()
    called = assistant["tool_calls"][0]["function"]
    assert called["arguments"] == arguments
    called["arguments"] = arguments.replace(": ", ":")
    result = {"role": "tool", "tool_call_id": reply.tool_calls[0].id, "content": "here"}
    again = started()
    found = again.chat([*messages, assistant, result], tools=[find], sampling=SamplingParams(seed=1))
    again.close()
    assert found.content == "There."
    assert found.usage.cached_tokens == (reply.usage.total_tokens - 1) // PAGE_SIZE * PAGE_SIZE


def test_pages_that_memory_gives_up_before_they_are_written_are_kept(tmp_path, expected):
    """The thread that writes is held up while the pages of a small pool go from one prompt to the next."""
    held = threading.Event()
    with over(tmp_path, context_length=512, cache_tokens=512) as engine:
        engine._disk._inbox.put(held.wait)
        assert_same(engine.generate(PROMPT, PARAMS), expected)
        engine.generate([*range(500)], PARAMS)
        assert engine.stats().cached_pages <= 512 // PAGE_SIZE
        assert not pages_of(tmp_path)
        held.set()
    with over(tmp_path) as again:
        found = again.generate(PROMPT, PARAMS)
    assert found.usage.cached_tokens == len(PROMPT) // PAGE_SIZE * PAGE_SIZE
    assert_same(found, expected)


def test_a_backlog_of_copies_has_an_end(tmp_path, expected, monkeypatch):
    """Beyond it pages are written from where they stand, if they still stand there."""
    monkeypatch.setattr(disk, "_BACKLOG_BYTES", 1)
    with over(tmp_path) as engine:
        engine.generate(PROMPT, PARAMS)
    with over(tmp_path) as again:
        found = again.generate(PROMPT, PARAMS)
    assert found.usage.cached_tokens == len(PROMPT) // PAGE_SIZE * PAGE_SIZE
    assert_same(found, expected)


def test_what_is_found_in_memory_is_used_on_the_disk_too(tmp_path, expected):
    others = [random.Random(number).choices(range(600), k=300) for number in (2, 3)]
    with over(tmp_path) as measured:
        measured.generate(PROMPT, PARAMS)
    a_prompt = measured.stats().disk.num_bytes
    with over(tmp_path, 2 * a_prompt) as engine:
        engine.generate(others[0], PARAMS)
        assert engine.generate(PROMPT, PARAMS).usage.cached_tokens > 0
        assert engine.generate(PROMPT, PARAMS).usage.cached_tokens > 0, "from memory, after the other one"
        num_loaded = engine.stats().disk.num_loaded
        engine.generate(others[1], PARAMS)
        assert engine.stats().disk.num_loaded == num_loaded
    with over(tmp_path, 2 * a_prompt) as again:
        assert_same(found := again.generate(PROMPT, PARAMS), expected)
        assert found.usage.cached_tokens == len(PROMPT) // PAGE_SIZE * PAGE_SIZE
        assert again.generate(others[0], PARAMS).usage.cached_tokens < len(PROMPT) // PAGE_SIZE * PAGE_SIZE


def test_files_that_come_next_are_read_ahead(saved, expected, monkeypatch):
    asked = []
    monkeypatch.setattr(KvFolder, "read_ahead", lambda _, key: asked.append(key))
    with over(saved) as again:
        assert_same(again.generate(PROMPT, PARAMS), expected)
    keys = {file.stem[:32] for file in pages_of(saved)}
    assert len(asked) == len(set(asked)) == len(PROMPT) // PAGE_SIZE
    assert {key.hex() for key in asked} <= keys


@pytest.mark.parametrize("damage", ["flip", "cut", "delete"])
def test_a_damaged_page_is_computed_again(saved, expected, damage):
    second = next(file for file in pages_of(saved) if any(file.stem.endswith(one.stem[:32]) for one in pages_of(saved)))
    content = second.read_bytes()
    match damage:
        case "flip":
            second.write_bytes(content[:5000] + bytes([content[5000] ^ 4]) + content[5001:])
        case "cut":
            second.write_bytes(content[:-100])
        case "delete":
            second.unlink()
    with over(saved) as again:
        found = again.generate(PROMPT, PARAMS)
    assert_same(found, expected)
    assert found.usage.cached_tokens < len(PROMPT) // PAGE_SIZE * PAGE_SIZE
    assert second.read_bytes() == content, "and written again as it was"


def test_another_model_finds_nothing_even_under_its_own_names(saved, expected):
    other = bytes(16)
    with over(saved, fingerprint=other) as one:
        found = one.generate(PROMPT, PARAMS)
        assert_same(found, expected)
        assert found.usage.cached_tokens == 0
    by_parent = {file.stem[33:]: file for file in pages_of(saved)}
    ours, theirs = ({file.name: file for file in pages_of(saved)} for _ in range(2))
    roots = [file for file in pages_of(saved) if file.stem[33:] == "0" * 32]
    assert len(roots) == 2
    assert by_parent
    assert ours == theirs
    first, second = (root.read_bytes() for root in roots)
    roots[0].write_bytes(second)
    roots[1].write_bytes(first)
    with over(saved) as again:
        found = again.generate(PROMPT, PARAMS)
        assert found.usage.cached_tokens == 0
        assert again.stats().disk.num_refused == 1
    assert_same(found, expected)


def test_a_small_budget_keeps_the_beginning_and_every_answer(tmp_path, expected):
    with over(tmp_path) as measured:
        measured.generate(PROMPT, PARAMS)
        a_page = measured.stats().disk.num_bytes // measured.stats().disk.num_pages
    budget = 3 * a_page
    with over(tmp_path, budget) as small:
        for prompt in (PROMPT, PROMPT[::-1], PROMPT):
            small.generate(prompt, PARAMS)
    assert sum(file.stat().st_size for file in pages_of(tmp_path)) <= budget
    with over(tmp_path, budget) as again:
        found = again.generate(PROMPT, PARAMS)
    assert 0 < found.usage.cached_tokens <= 3 * PAGE_SIZE
    assert_same(found, expected)


def test_64_requests_at_once_get_the_same_with_and_without_a_folder(tmp_path):
    """Prompts that begin alike, pages for a third of them; the second round starts with what the first one left."""
    rng = random.Random(6)
    starts = [[rng.randrange(600) for _ in range(150)] for _ in range(3)]
    requests = [
        (
            [*rng.choice(starts)[: rng.randint(20, 150)], *rng.choices(range(600), k=rng.randint(1, 60))],
            SamplingParams(seed=rng.randrange(9), max_tokens=rng.randint(1, 20), logprobs=2, ignore_eos=True),
        )
        for _ in range(64)
    ]

    async def ask(engine: Engine, prompt: list[int], params: SamplingParams) -> Completion:
        await asyncio.sleep(rng.random() * 0.2)
        async with await AsyncEngine(engine).stream_generate(prompt, params) as stream:
            async for _ in stream:
                pass
        return stream.result

    async def all_at_once(engine: Engine) -> list[Completion]:
        return await asyncio.gather(*(ask(engine, *request) for request in requests))

    rounds = []
    for _ in range(2):
        with over(tmp_path, num_threads=2, chunk_size=48, context_length=256, cache_tokens=1024) as engine:
            rounds.append(asyncio.run(all_at_once(engine)))
            num_loaded = engine.stats().disk.num_loaded
            engine.forget()
            pool = engine._worker.core.pool
            pool.check()
            assert pool.allocator.num_held == 0
    assert num_loaded > 0
    alone = llm("int8", "bf16")
    for (prompt, params), first, second in zip(requests, *rounds, strict=True):
        expected = alone.generate(prompt, params)
        assert_same(first, expected)
        assert_same(second, expected)


def test_a_reply_goes_on_while_pages_are_loaded(tmp_path, monkeypatch):
    """One page a step, as from a slow disk."""
    params = replace(PARAMS, max_tokens=40)

    def started(model):
        return engine_of(model, context_length=2048, disk=DiskTier(KvFolder(tmp_path, ROOMY), FINGERPRINT))

    long = [token % 600 for token in range(1000)]
    first = started(hashing_model())
    expected = first.generate(long, params)
    first.close()
    monkeypatch.setattr(scheduler, "_LOAD_S", 0.0)
    model = hashing_model()
    engine = started(model)
    with monkeypatch.context() as patched:
        loads = []
        read = engine._disk.load
        patched.setattr(engine._disk, "load", lambda *a: loads.append(len(model.pass_sizes)) or read(*a))

        async def run():
            face = AsyncEngine(engine)
            async with await face.stream_generate([7, 8, 9], replace(params, max_tokens=200)) as beside:
                await anext(beside)
                async with await face.stream_generate(long, params) as stream:
                    async for _ in stream:
                        pass
                return stream.result

        found = asyncio.run(run())
    engine.close()
    assert (found.token_ids, found.logprobs) == (expected.token_ids, expected.logprobs)
    assert found.usage.cached_tokens == 960
    assert len(set(loads)) == len(loads) == 15, "a pass of the reply beside it between any two pages"


def test_the_fingerprint_tells_weights_and_options_apart(tmp_path):
    def fingerprint(directory: Path, **options: object) -> bytes:
        return load_model(directory, EngineOptions(context_length=256, **options)).fingerprint

    copy = shutil.copytree(TINY, tmp_path / "copy", copy_function=shutil.copy2)
    same = loaded("int8", "bf16", 1, False).fingerprint
    assert fingerprint(copy, num_threads=2) == same
    assert len({same, fingerprint(TINY, activations="bf16"), fingerprint(TINY, dense="int8")}) == 3
    shard = copy / "model-00001-of-000002.safetensors"
    status = shard.stat()
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(copy) != same


def test_llm_takes_the_folder_from_its_options(tmp_path):
    options = EngineOptions(context_length=512, num_threads=1, kv_dir=str(tmp_path / "kv"), kv_dir_gib=0.5)
    first = LLM(TINY, options)
    expected = first.generate(PROMPT, PARAMS)
    with pytest.raises(OptionError, match="another moonlet is using it"):
        LLM(TINY, options)
    first.close()
    again = LLM(TINY, options)
    found = again.generate(PROMPT, PARAMS)
    again.close()
    assert found.usage.cached_tokens == len(PROMPT) // PAGE_SIZE * PAGE_SIZE
    assert_same(found, expected)


def test_a_program_killed_while_it_computes_leaves_a_folder_to_start_from(tmp_path, expected):
    code = f"""
from tests.engine.test_kv_dir import *
engine = llm("int8", "bf16", chunk_size=64, disk=DiskTier(KvFolder(Path({str(tmp_path)!r}), ROOMY), FINGERPRINT))
print("start", flush=True)
while True:
    engine.generate(PROMPT, PARAMS)
    engine.generate([*PROMPT[:100], *random.choices(range(600), k=200)], PARAMS)
    print("round", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout.readline() == b"start\n"
    assert process.stdout.readline() == b"round\n"
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    with over(tmp_path) as again:
        found = again.generate(PROMPT, PARAMS)
        assert again.stats().disk.num_refused == 0
    assert found.usage.cached_tokens > 0
    assert_same(found, expected)


def test_a_folder_that_cannot_be_written_any_more_changes_no_answer(tmp_path, expected, caplog):
    path = tmp_path / "kv"
    with over(path) as engine:
        shutil.rmtree(path)
        assert_same(engine.generate(PROMPT, PARAMS), expected)
        assert_same(cold(engine, PROMPT), expected)
    assert caplog.text.count("cannot be written to") == 1
