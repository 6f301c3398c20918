"""What this machine can do at most, for benchmarks to state their results against."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from moonlet import _kernels
from moonlet.kernels.linear_float import linear_bf16
from moonlet.kernels.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The best of several measurements: neighbours on the machine can only take away."""

    read_bytes_per_s: float
    int8_ops_per_s: float
    float_ops_per_s: float

    @classmethod
    def median(cls, ceilings: Sequence[Ceiling]) -> Ceiling:
        """Each figure's middle over `ceilings`, at least one, of a machine whose limits change."""
        return cls(
            read_bytes_per_s=statistics.median(one.read_bytes_per_s for one in ceilings),
            int8_ops_per_s=statistics.median(one.int8_ops_per_s for one in ceilings),
            float_ops_per_s=statistics.median(one.float_ops_per_s for one in ceilings),
        )


def measure_ceiling(rt: Runtime, buffer_bytes: int = 1 << 30, num_repeats: int = 5) -> Ceiling:
    """Measure the read bandwidth of all threads over a buffer larger than the caches, the int8 peak in registers, and
    the fastest BF16 or float32 matrix product.

    An operation is a multiplication or an addition, so a multiply-accumulate counts as two.
    """
    buffer = torch.ones(buffer_bytes, dtype=torch.uint8)  # zeros would share one page that stays in the cache
    return Ceiling(
        read_bytes_per_s=max(measure_read(rt, buffer) for _ in range(num_repeats)),
        int8_ops_per_s=max(measure_int8(rt) for _ in range(num_repeats)),
        float_ops_per_s=max(measure_float(rt) for _ in range(num_repeats)),
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


_GEMM_SIZE = 512
"""Rows and columns of the matrices below: the BF16 weight stays in a second-level cache."""


def measure_float(rt: Runtime) -> float:
    """Operations per second of the fastest product known here: ours of BF16 weights, torch's in BF16 or in float32.

    The best of three implementations, since none alone reaches the peak on every machine.
    """
    x = torch.randn(_GEMM_SIZE, _GEMM_SIZE)
    narrow = x.to(torch.bfloat16)
    num_operations = 2 * _GEMM_SIZE**3
    before = torch.get_num_threads()
    torch.set_num_threads(rt.num_threads)
    try:
        best = min(
            min(_seconds(product) for _ in range(3))
            for product in (lambda: linear_bf16(rt, x, narrow), lambda: narrow @ narrow, lambda: x @ x)
        )
    finally:
        torch.set_num_threads(before)
    return num_operations / best


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
