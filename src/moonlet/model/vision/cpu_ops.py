"""The tower on CPU cores: fixed pieces of work, each done by one thread.

torch's BF16 products reach most of what the processor can do, but how they sum may depend on the number of rows and of
threads. So work is cut the same way whatever the number of threads, and inside a piece torch has one thread: an item's
bits depend on the item alone. Attention keeps the scores of some queries of one head, never the matrix: in BF16 it is a
kernel of ours, in float32 torch's products on such pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from moonlet.kernels import Runtime, patch_attention
from moonlet.model.vision.weights import Affine

ROWS_AT_ONCE = 256
"""Rows of one piece: enough to make packing the weights again cheap; their widest activation is 2 MB at K2.5's size."""
QUERIES_AT_ONCE = 128
"""Queries of one piece of attention in float32: for 16,384 patches their scores are 8 MB."""

_Item = TypeVar("_Item")


def has_bf16_products() -> bool:
    """Whether this processor multiplies BF16 faster than float32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


@dataclass(frozen=True, slots=True)
class CpuVisionOps:
    """rt: the threads, for torch's work too.  dtype: what products are in, float32 or bfloat16; sums are float32."""

    rt: Runtime
    dtype: torch.dtype

    def linear(self, x: Tensor, layer: Affine) -> Tensor:
        return torch.nn.functional.linear(x.to(self.dtype), layer.weight.to(self.dtype), layer.bias.to(self.dtype))

    def rows(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        pieces = [slice(start, start + ROWS_AT_ONCE) for start in range(0, inputs[0].shape[0], ROWS_AT_ONCE)]
        with _one_torch_thread():
            first = function(*(tensor[pieces[0]] for tensor in inputs))
        result = first.new_empty(inputs[0].shape[0], *first.shape[1:])
        result[pieces[0]] = first

        def work(piece: slice) -> None:
            result[piece] = function(*(tensor[piece] for tensor in inputs))

        self._each(work, pieces[1:])
        return result

    def attend(self, qkv: Tensor) -> Tensor:
        if qkv.dtype == torch.bfloat16:
            return patch_attention(self.rt, qkv)
        return self._attend_in_float32(qkv)

    def _attend_in_float32(self, qkv: Tensor) -> Tensor:
        num_patches, _, num_heads, width = qkv.shape
        heads = qkv.permute(2, 1, 0, 3)
        result = qkv.new_empty(num_patches, num_heads, width)
        nothing = qkv.new_empty(1, 1)
        scale = 1.0 / width**0.5

        def work(piece: tuple[int, int]) -> None:
            head, start = piece
            q, k, v = heads[head]
            rows = slice(start, start + QUERIES_AT_ONCE)
            scores = torch.addmm(nothing, q[rows], k.T, beta=0.0, alpha=scale)
            result[rows, head] = scores.softmax(dim=-1) @ v

        # Head by head, so that its keys and values stay in the cache.
        starts = range(0, num_patches, QUERIES_AT_ONCE)
        self._each(work, [(head, start) for head in range(num_heads) for start in starts])
        return result.flatten(1)

    def _each(self, work: Callable[[_Item], None], items: Sequence[_Item]) -> None:
        """work(item) for every item, shared among the threads."""
        inference = torch.is_inference_mode_enabled()

        def run(item: _Item) -> None:
            # The mode belongs to a thread.
            with torch.inference_mode(inference):
                work(item)

        with _one_torch_thread():
            if self.rt.num_threads == 1 or len(items) < 2:
                for item in items:
                    work(item)
                return
            with ThreadPoolExecutor(self.rt.num_threads) as pool:
                for _ in pool.map(run, items):
                    pass


class _one_torch_thread:  # noqa: N801 (used like a function)
    """While it lasts, threads give torch one thread each."""

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._before)
