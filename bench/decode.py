"""Decode and prefill of a whole model, against what its bytes allow.

    moonlet bench make-checkpoint --preset mid /tmp/mid
    python bench/decode.py /tmp/mid
    python bench/decode.py /tmp/mid --dense int8 --contexts 0 4096

Prints the ceiling first (bytes a decode step must read over the bandwidth measured in this run), then tokens per second
and the share of the ceiling at several context lengths, then peak memory; the last line is JSON.

Contexts are random tokens, so a step reads experts that the last one did not, as real text does.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from harness import Spread, print_json_line
from moonlet.config import EngineOptions
from moonlet.engine.load import load_model
from moonlet.engine.runner import Runner
from moonlet.kernels import Runtime
from moonlet.kernels.ceiling import measure_read
from moonlet.model.cost import decode_traffic

WARM_UP_TOKENS = 512
READ_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Row:
    """One context length. Speeds and the ceiling in tokens per second; prefill is None for an empty context."""

    context: int
    prefill: float | None
    decode: Spread
    ceiling: float
    share: float


def timed_decode(runner: Runner, prompt: list[int], following: list[int]) -> tuple[float, list[float]]:
    """Read `prompt`, then decode `following` one by one: seconds for the prompt, and for each step."""
    sequence = runner.admit(prompt)
    try:
        started = time.perf_counter()
        while runner.step(sequence) is None:
            pass
        prefill_s = time.perf_counter() - started
        steps_s = []
        for token_id in following:
            sequence.token_ids.append(token_id)
            started = time.perf_counter()
            runner.step(sequence)
            steps_s.append(time.perf_counter() - started)
        return prefill_s, steps_s
    finally:
        runner.abandon(sequence)


def read_bandwidth(threads: int | None) -> float:
    """Bytes per second that all threads read from memory, the best of several passes over a gigabyte."""
    rt = Runtime(threads)
    buffer = torch.ones(READ_BYTES, dtype=torch.uint8)
    return max(measure_read(rt, buffer) for _ in range(5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a checkpoint directory")
    parser.add_argument("--contexts", type=int, nargs="+", default=[0, 512, 4096], help="cached tokens (0 512 4096)")
    parser.add_argument("--steps", type=int, default=48, help="decode steps timed at each context (48)")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (all cores)")
    parser.add_argument("--dense", choices=("bf16", "int8"), default="bf16", help="form of the non-expert weights")
    parser.add_argument("--activations", choices=("int8", "bf16"), default="int8", help="activations of the experts")
    args = parser.parse_args()

    context_length = max(*args.contexts, WARM_UP_TOKENS) + args.steps + 1
    options = EngineOptions(
        num_threads=args.threads, dense=args.dense, activations=args.activations, context_length=context_length
    )
    started = time.perf_counter()
    model = load_model(args.model, options)
    print(f"{args.model.name}: loaded in {time.perf_counter() - started:.2f} s, {args.dense} non-expert weights")
    runner = Runner(model, context_length=model.context_length, chunk_size=options.chunk_size)

    bandwidth = read_bandwidth(args.threads)
    empty = decode_traffic(model.config, 0, args.dense)
    print(
        f"a token reads {empty.total / 1e6:.0f} MB (experts {empty.routed_experts / 1e6:.0f}, "
        f"the rest {empty.other_weights / 1e6:.0f}) and the cache; memory reads {bandwidth / 1e9:.1f} GB/s: "
        f"ceiling {bandwidth / empty.total:.1f} tokens/s\n"
    )

    generator = torch.Generator().manual_seed(0)

    def tokens(count: int) -> list[int]:
        return torch.randint(model.vocab_size, (count,), generator=generator).tolist()

    # Faults the mapped experts in; without it the first row would measure the disk.
    timed_decode(runner, tokens(WARM_UP_TOKENS), tokens(4))
    print(f"{'context':>8} {'prefill t/s':>12} {'decode t/s':>11} {'lowest-highest':>16} {'ceiling':>8} {'share':>6}")
    rows = []
    for context in args.contexts:
        prefill_s, steps_s = timed_decode(runner, tokens(max(context, 1)), tokens(args.steps))
        decode = Spread.of([1 / step_s for step_s in steps_s])
        ceiling = bandwidth / decode_traffic(model.config, context, args.dense).total
        row = Row(context, context / prefill_s if context else None, decode, ceiling, decode.median / ceiling)
        rows.append(row)
        prefill = "-" if row.prefill is None else f"{row.prefill:.0f}"
        extent = f"{decode.low:.1f}-{decode.high:.1f}"
        print(f"{context:>8} {prefill:>12} {decode.median:>11.2f} {extent:>16} {ceiling:>8.1f} {row.share:>6.0%}")

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    plan = model.plan
    print(
        f"\npeak resident memory {peak / 1e9:.2f} GB; planned {plan.required_bytes / 1e9:.2f} GB "
        f"and {plan.expert_bytes / 1e9:.2f} GB of mapped experts"
    )
    print_json_line(
        "decode",
        {
            "model": args.model.name,
            "threads": args.threads,
            "dense": args.dense,
            "activations": args.activations,
            "bandwidth_bytes_per_s": bandwidth,
            "peak_resident_bytes": peak,
            "rows": [asdict(row) for row in rows],
        },
    )


if __name__ == "__main__":
    main()
