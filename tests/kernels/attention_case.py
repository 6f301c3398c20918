"""Latent attention over a few sequences with scattered pages; every slot nobody may see holds NaN."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from moonlet.kernels import Runtime
from moonlet.kernels.mla import mla_absorbed
from moonlet.kernels.mla_reference import PAGE_SIZE


@dataclass(frozen=True, slots=True)
class Shape:
    num_heads: int
    nope: int
    rope: int
    v_head_dim: int
    kv_lora_rank: int


SMALL = Shape(num_heads=4, nope=24, rope=16, v_head_dim=20, kv_lora_rank=64)
ODD = Shape(num_heads=5, nope=9, rope=6, v_head_dim=7, kv_lora_rank=37)
ONE_HEAD = Shape(num_heads=1, nope=16, rope=8, v_head_dim=16, kv_lora_rank=100)
NANO = Shape(num_heads=8, nope=32, rope=32, v_head_dim=32, kv_lora_rank=64)


@dataclass(frozen=True, slots=True)
class AttentionCase:
    """Arguments of an attention call, tokens in batch order."""

    q_nope: Tensor
    q_rope: Tensor
    kv_b: Tensor
    pages: Tensor
    page_tables: Tensor
    seq_idx: Tensor
    context_lens: Tensor
    softmax_scale: float

    def arguments(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, float]:
        return (
            self.q_nope,
            self.q_rope,
            self.kv_b,
            self.pages,
            self.page_tables,
            self.seq_idx,
            self.context_lens,
            self.softmax_scale,
        )

    def tokens(self, chosen: Tensor | slice) -> AttentionCase:
        """The same cache, asked by some of the tokens."""
        return replace(
            self,
            q_nope=self.q_nope[chosen],
            q_rope=self.q_rope[chosen],
            seq_idx=self.seq_idx[chosen],
            context_lens=self.context_lens[chosen],
        )

    def run(self, rt: Runtime) -> Tensor:
        return mla_absorbed(rt, *self.arguments())


def make_case(shape: Shape, lengths: tuple[int, ...], num_queries: int) -> AttentionCase:
    """Sequences of `lengths` tokens; the last `num_queries` tokens of each ask, as in a prefill chunk."""
    generator = torch.Generator().manual_seed(sum(lengths))

    def randn(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator)

    width = shape.kv_lora_rank + shape.rope
    pages_of = [-(-length // PAGE_SIZE) for length in lengths]
    scattered = torch.randperm(sum(pages_of) + 2, generator=generator, dtype=torch.int32)
    pages = torch.full((len(scattered), PAGE_SIZE, width), float("nan"), dtype=torch.float16)
    page_tables = torch.full((len(lengths), max(pages_of) + 1), -1, dtype=torch.int32)
    seq_idx: list[int] = []
    context_lens: list[int] = []
    used = 0
    for seq, length in enumerate(lengths):
        page_tables[seq, : pages_of[seq]] = scattered[used : used + pages_of[seq]]
        used += pages_of[seq]
        position = torch.arange(length)
        slots = page_tables[seq].long()[position // PAGE_SIZE] * PAGE_SIZE + position % PAGE_SIZE
        pages.view(-1, width)[slots] = randn(length, width).half()
        asking = range(max(1, length - num_queries + 1), length + 1)
        seq_idx += [seq] * len(asking)
        context_lens += asking
    num_tokens = len(seq_idx)
    return AttentionCase(
        q_nope=randn(num_tokens, shape.num_heads, shape.nope),
        q_rope=randn(num_tokens, shape.num_heads, shape.rope),
        kv_b=(randn(shape.num_heads * (shape.nope + shape.v_head_dim), shape.kv_lora_rank) * 0.1).bfloat16(),
        pages=pages,
        page_tables=page_tables,
        seq_idx=torch.tensor(seq_idx, dtype=torch.int32),
        context_lens=torch.tensor(context_lens, dtype=torch.int32),
        softmax_scale=(shape.nope + shape.rope) ** -0.5 * 2,
    )
