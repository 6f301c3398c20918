"""One layer of routed experts at the real shape, against what the machine can do at most.

    python bench/experts.py                  # 1 and 512 tokens, int8 activations
    python bench/experts.py --tokens 4 --activations bf16 --isa avx2
    python bench/experts.py --format q4_0    # or q2_k, iq2_xxs ...: experts in a block format of GGUF files

Prints the ceiling (read bandwidth and int8 peak) first, then for each number of tokens the median and the spread over
repeats and the share of the ceiling, then one JSON line. Weights are random: speed does not depend on their values.
Decode steps walk through all resident experts, so that no step finds its weights in the cache.

Limits: the ceiling is the best of several readings, while a busy neighbour slows single runs; compare runs only with
their own ceiling. One layer at a time: no attention, no router.
"""

from __future__ import annotations

import argparse
import mmap
import statistics
import time
from dataclasses import asdict, dataclass

import torch

from moonlet.evals.speed import json_line, machine_name
from moonlet.formats.gguf import block_type
from moonlet.kernels import (
    Activations,
    BlockExpertsLayer,
    Int4Experts,
    Runtime,
    block_experts_forward,
    block_formats,
    experts_forward,
)
from moonlet.kernels.ceiling import Ceiling, measure_float, measure_int8, measure_read

GROUP_SIZE = 32
INT4 = "INT4"
"""The published form; other formats go by their GGUF names."""


@dataclass(frozen=True, slots=True)
class Shape:
    hidden_size: int
    moe_intermediate_size: int
    num_experts: int
    num_experts_per_tok: int
    number_format: str = INT4

    @property
    def expert_parameters(self) -> int:
        return 3 * self.hidden_size * self.moe_intermediate_size

    @property
    def expert_bytes(self) -> int:
        """One expert as stored, scales included."""
        if self.number_format == INT4:
            return self.expert_parameters // 2 + self.expert_parameters // GROUP_SIZE * 2
        return block_type(self.number_format).row_bytes(self.expert_parameters)


@dataclass(frozen=True, slots=True)
class Result:
    num_tokens: int
    activations: str
    median_ms: float
    min_ms: float
    max_ms: float
    read_gb_per_s: float
    share_of_read: float
    int8_tops: float
    share_of_int8: float


def huge_buffer(num_bytes: int) -> torch.Tensor:
    """[num_bytes] uint8 on huge pages where the system grants them, as a resident store would hold weights."""
    memory = mmap.mmap(-1, num_bytes)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)


def make_layer(shape: Shape, weights: torch.Tensor) -> Int4Experts:
    """All experts of the layer, carved out of `weights` one after another, with random codes and small scales."""
    # The pattern's length shares no factor with a row, so rows differ; 1.6 GB of random numbers would take longer to
    # make than to measure.
    pattern = torch.randint(-(2**31), 2**31, (99_991,), dtype=torch.int64).to(torch.int32)
    words = weights.view(torch.int32)
    words.copy_(pattern.repeat(words.numel() // pattern.numel() + 1)[: words.numel()])
    tensors: tuple[list[torch.Tensor], ...] = ([], [], [], [], [], [])
    position = 0

    def take(dtype: torch.dtype, rows: int, columns: int) -> torch.Tensor:
        nonlocal position
        begin, position = position, position + rows * columns * dtype.itemsize
        return weights[begin:position].view(dtype).view(rows, columns)

    for _ in range(shape.num_experts):
        for i in range(3):
            num_outputs, num_inputs = shape.hidden_size, shape.moe_intermediate_size
            if i < 2:
                num_outputs, num_inputs = num_inputs, num_outputs
            tensors[2 * i].append(take(torch.int32, num_outputs, num_inputs // 8))
            scales = take(torch.bfloat16, num_outputs, num_inputs // GROUP_SIZE)
            scales.uniform_(0.5, 1.5).div_(4.6 * num_inputs**0.5)
            tensors[2 * i + 1].append(scales)
    return Int4Experts(*tensors)


def make_block_layer(shape: Shape, weights: torch.Tensor) -> BlockExpertsLayer:
    """All experts of the layer in a block format, each kind of matrix a stack in `weights`."""
    # Any two bytes from 0x20 to 0x3b make an ordinary half.
    pattern = torch.randint(0x20, 0x3C, (99_991,), dtype=torch.int64).to(torch.uint8)
    weights.copy_(pattern.repeat(weights.numel() // pattern.numel() + 1)[: weights.numel()])
    gate, up, down = weights.view(3, shape.num_experts, -1)
    wide = (shape.num_experts, shape.moe_intermediate_size, -1)
    name = shape.number_format
    return BlockExpertsLayer(
        gate.view(wide), name, up.view(wide), name, down.view(shape.num_experts, shape.hidden_size, -1), name
    )


def routing(shape: Shape, num_tokens: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ascending experts of every token. Few tokens take turns through all experts; many are spread at random."""
    top_k = shape.num_experts_per_tok
    if num_tokens * top_k <= shape.num_experts:
        first = step * num_tokens * top_k
        ids = (torch.arange(first, first + num_tokens * top_k) % shape.num_experts).view(num_tokens, top_k)
    else:
        generator = torch.Generator().manual_seed(step)
        ids = torch.rand(num_tokens, shape.num_experts, generator=generator).topk(top_k).indices
    return ids.sort(-1).values.to(torch.int32), torch.full((num_tokens, top_k), 1.0 / top_k)


def measure(
    rt: Runtime,
    shape: Shape,
    layer: Int4Experts | BlockExpertsLayer,
    num_tokens: int,
    activations: Activations,
    repeats: int,
) -> tuple[list[float], int]:
    """Seconds of each repeat after two to warm up, and how many experts one repeat reads."""
    x = torch.randn(num_tokens, shape.hidden_size)
    seconds = []
    num_read = 0
    for step in range(repeats + 2):
        ids, weights = routing(shape, num_tokens, step)
        num_read = ids.unique().numel()
        start = time.perf_counter()
        if isinstance(layer, BlockExpertsLayer):
            block_experts_forward(rt, layer, x, ids, weights)
        else:
            experts_forward(rt, layer, x, ids, weights, activations)
        if step >= 2:
            seconds.append(time.perf_counter() - start)
    return seconds, num_read


def summarise(
    shape: Shape, seconds: list[float], num_read: int, num_tokens: int, activations: str, ceiling: Ceiling
) -> Result:
    median = statistics.median(seconds)
    read = num_read * shape.expert_bytes / median
    ops = 2.0 * num_tokens * shape.num_experts_per_tok * shape.expert_parameters / median
    return Result(
        num_tokens=num_tokens,
        activations=activations,
        median_ms=median * 1e3,
        min_ms=min(seconds) * 1e3,
        max_ms=max(seconds) * 1e3,
        read_gb_per_s=read / 1e9,
        share_of_read=read / ceiling.read_bytes_per_s,
        int8_tops=ops / 1e12,
        share_of_int8=ops / ceiling.int8_ops_per_s,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[1, 512])
    parser.add_argument("--activations", choices=["int8", "bf16"], default="int8", help="bf16 for INT4 only")
    formats = sorted({INT4, *block_formats()})
    parser.add_argument("--format", type=str.upper, choices=formats, default=INT4, help="INT4 or a GGUF block format")
    parser.add_argument("--threads", type=int, default=None, help="default: all cores")
    parser.add_argument("--isa", default="auto")
    parser.add_argument("--repeats", type=int, default=15, help="of decode sizes; sizes above 16 tokens repeat 3 times")
    parser.add_argument("--hidden", type=int, default=7168)
    parser.add_argument("--intermediate", type=int, default=2048)
    parser.add_argument("--experts", type=int, default=64)
    parser.add_argument("--top-k", type=int, default=8)
    args = parser.parse_args()
    if args.format != INT4 and args.activations != "int8":
        parser.error(f"--activations bf16 with {args.format}: block formats take int8 activations")

    torch.manual_seed(0)
    torch.set_num_threads(1)
    rt = Runtime(args.threads, args.isa)
    shape = Shape(args.hidden, args.intermediate, args.experts, args.top_k, args.format)
    weights = huge_buffer(shape.num_experts * shape.expert_bytes)
    layer = make_layer(shape, weights) if shape.number_format == INT4 else make_block_layer(shape, weights)
    readable = weights[: weights.numel() // 256 * 256]

    # Read the weights themselves: same memory, same pages.
    reads = [measure_read(rt, readable) for _ in range(7)]
    peaks = [measure_int8(rt) for _ in range(7)]
    ceiling = Ceiling(max(reads), max(peaks), max(measure_float(rt) for _ in range(3)))
    print(f"{machine_name()}, {rt.num_threads} threads, {rt.isa}, {shape.number_format}")
    print(
        f"ceiling: {ceiling.read_bytes_per_s / 1e9:.1f} GB/s read (median {statistics.median(reads) / 1e9:.1f}),"
        f" {ceiling.int8_ops_per_s / 1e12:.3f} int8 Top/s (median {statistics.median(peaks) / 1e12:.3f})"
    )
    runs = []
    for num_tokens in args.tokens:
        repeats = args.repeats if num_tokens <= 16 else 3
        runs.append((num_tokens, *measure(rt, shape, layer, num_tokens, args.activations, repeats)))
    results = [summarise(shape, seconds, n, t, args.activations, ceiling) for t, seconds, n in runs]
    for r in results:
        print(
            f"{r.num_tokens:5d} tokens, {r.activations}: {r.median_ms:9.2f} ms ({r.min_ms:.2f} to {r.max_ms:.2f});"
            f" reads {r.read_gb_per_s:5.1f} GB/s, {100 * r.share_of_read:3.0f} % of ceiling;"
            f" {r.int8_tops:.3f} Top/s, {100 * r.share_of_int8:3.0f} % of ceiling"
        )
    facts = {
        "threads": rt.num_threads,
        "isa": rt.isa,
        "shape": asdict(shape),
        "ceiling": asdict(ceiling),
        "results": [asdict(r) for r in results],
    }
    print(json_line("experts", facts))


if __name__ == "__main__":
    main()
