"""What this machine can do at most, for benchmarks to state their results against."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from moonlet import _kernels
from moonlet.kernels.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The best of several measurements: neighbours on the machine can only take away."""

    read_bytes_per_s: float
    int8_ops_per_s: float


def measure_ceiling(rt: Runtime, buffer_bytes: int = 1 << 30, num_repeats: int = 5) -> Ceiling:
    """Measure the read bandwidth of all threads over a buffer larger than the caches, and the int8 peak in registers.

    An operation is a multiplication or an addition, so a multiply-accumulate counts as two.
    """
    buffer = torch.ones(buffer_bytes, dtype=torch.uint8)  # zeros would share one page that stays in the cache
    return Ceiling(
        read_bytes_per_s=max(measure_read(rt, buffer) for _ in range(num_repeats)),
        int8_ops_per_s=max(measure_int8(rt) for _ in range(num_repeats)),
    )


def measure_read(rt: Runtime, buffer: torch.Tensor) -> float:
    """Bytes per second of reading `buffer` once with all threads: [num_bytes] uint8, a multiple of 256."""
    start = time.perf_counter()
    _kernels.read_memory(rt.native, buffer)
    return buffer.numel() / (time.perf_counter() - start)


def measure_int8(rt: Runtime, num_rounds: int = 100_000) -> float:
    """Int8 operations per second of all threads on values in registers."""
    start = time.perf_counter()
    num_operations = _kernels.multiply_int8(rt.native, num_rounds)
    return num_operations / (time.perf_counter() - start)
