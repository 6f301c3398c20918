"""A matrix, or a stack of them, still in the bytes of the file."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from moonlet.errors import ShapeError
from moonlet.formats.gguf.dequantize import dequantize
from moonlet.formats.gguf.types import BlockType

_CHUNK_BYTES = 1 << 20
"""Widened at a time by each thread: intermediates stay in the tens of megabytes for the smallest types."""
_MAX_THREADS = 16


@dataclass(frozen=True, slots=True)
class BlockMatrix:
    """rows: [..., row_bytes] uint8, usually a view of a mapped file; each row is whole blocks of `kind`."""

    kind: BlockType
    rows: Tensor

    def __post_init__(self) -> None:
        """Refuse bytes that are not rows of whole blocks. Raises ShapeError."""
        if self.rows.dtype != torch.uint8 or self.rows.dim() < 1 or self.rows.shape[-1] % self.kind.block_bytes:
            raise ShapeError(
                f"{self.kind.name} rows: {self.rows.dtype} {list(self.rows.shape)}, "
                f"expected uint8 with a multiple of {self.kind.block_bytes} bytes last"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions counted in weights."""
        return (*self.rows.shape[:-1], self.rows.shape[-1] // self.kind.block_bytes * self.kind.block_weights)

    @property
    def num_bytes(self) -> int:
        """Bytes as stored."""
        return self.rows.numel()

    def __getitem__(self, index: int) -> BlockMatrix:
        """One matrix of a stack, such as one expert; no copy."""
        if self.rows.dim() < 2:
            raise ShapeError(f"{self.kind.name} rows: one row cannot be indexed")
        return BlockMatrix(self.kind, self.rows[index])

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weights in `dtype`; float32 is exact, others that rounded once. Peak memory: the result and pieces."""
        if self.kind.name == "BF16" and dtype == torch.bfloat16 and self.rows.is_contiguous():
            return _as_bfloat16(self.rows)
        result = torch.empty(self.shape, dtype=dtype)
        flat_rows = self.rows.reshape(-1, self.rows.shape[-1])
        flat = result.view(-1, self.shape[-1])
        step = max(1, _CHUNK_BYTES // self.rows.shape[-1])

        def widen(start: int) -> None:
            piece = flat_rows[start : start + step]
            # The mode belongs to a thread: without this a result made under inference_mode could not be written here.
            with torch.inference_mode(result.is_inference()):
                flat[start : start + step] = torch.from_numpy(dequantize(self.kind, piece.numpy()))

        starts = range(0, flat_rows.shape[0], step)
        if len(starts) == 1:
            widen(0)
            return result
        # numpy lets go of the interpreter's lock inside its loops, so threads share the work.
        with ThreadPoolExecutor(min(_MAX_THREADS, len(starts), len(os.sched_getaffinity(0)))) as pool:
            list(pool.map(widen, starts))
        return result


def _as_bfloat16(rows: Tensor) -> Tensor:
    """The stored BF16 itself, without a copy where its address allows."""
    aligned = rows if rows.data_ptr() % 2 == 0 else rows.clone()
    return aligned.view(torch.bfloat16)
