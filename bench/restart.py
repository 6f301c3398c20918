"""What `--kv-dir` saves after a restart: time to the first token of a long prompt, read anew and taken from the disk.

    python bench/restart.py MODEL --tokens 8192 30000

Taken twice: with the folder's files put out of the kernel's cache first, and as a restart mostly finds them, still in
it. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

from moonlet import LLM, SamplingParams
from moonlet.config import EngineOptions


def read(llm: LLM, num_tokens: int, seed: int) -> tuple[float, int]:
    """Seconds to the first token of a random prompt, and how many of its tokens were cached."""
    prompt = random.Random(seed).choices(range(llm.tokenizer.vocab_size), k=num_tokens)
    completion = llm.generate(prompt, SamplingParams(seed=1, max_tokens=1, ignore_eos=True))
    assert completion.timings.ttft_s is not None
    return completion.timings.ttft_s, completion.usage.cached_tokens


def drop_from_memory(folder: Path) -> None:
    """Put the files out of the kernel's cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())  # what is not on the disk yet stays
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(model: str, num_tokens: int, folder: Path, num_threads: int | None) -> dict[str, float]:
    """One life of an engine over `folder`."""
    llm = LLM(model, EngineOptions(num_threads=num_threads, context_length=num_tokens + 64, kv_dir=str(folder)))
    read(llm, 63, seed=time.time_ns())  # reaches the weights, fills no page
    ttft_s, cached_tokens = read(llm, num_tokens, seed=0)
    started = time.perf_counter()
    llm.close()
    close_s = time.perf_counter() - started
    return {"ttft_s": ttft_s, "cached_tokens": cached_tokens, "close_s": close_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="checkpoint directory")
    parser.add_argument("--tokens", type=int, nargs="+", default=[8192], help="lengths of the prompt")
    parser.add_argument("--num-threads", type=int)
    arguments = parser.parse_args()
    results = []
    for num_tokens in arguments.tokens:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            lives = {}
            for life in ("anew", "from disk", "from memory"):
                if life == "from disk":
                    drop_from_memory(folder)
                lives[life] = run(arguments.model, num_tokens, folder, arguments.num_threads)
                print(
                    f"{num_tokens:>6} tokens {life:>11}: first token after {lives[life]['ttft_s']:.3f} s, "
                    f"{lives[life]['cached_tokens']} found, closed in {lives[life]['close_s']:.2f} s",
                    flush=True,
                )
            num_bytes = sum(file.stat().st_size for file in folder.iterdir())
        results.append({"num_tokens": num_tokens, "num_bytes": num_bytes, **lives})
    print(json.dumps({"bench": "restart", "model": arguments.model, "results": results}))


if __name__ == "__main__":
    main()
