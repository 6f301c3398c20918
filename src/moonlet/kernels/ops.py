"""What the model asks of an array library, and who can answer.

`Ops` is every operation of a forward pass except the routed experts. `CpuOps` answers with the kernels of csrc/, whose
results do not depend on batch, chunking or thread count. `TorchOps` answers with plain torch on any device: in float32
it is the reference the kernels are held to, in bfloat16 the way a GPU runs the dense part; it makes no such promise.
The residual stream, and all that is not the inside of a linear layer, is float32 in both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor

from moonlet.kernels.blocks import linear_blocks, linears_blocks, swiglu_blocks
from moonlet.kernels.linear_float import linear_bf16, linear_f32, linear_reference
from moonlet.kernels.linear_int8 import linear_int8
from moonlet.kernels.mla import mla_absorbed, mla_prepare
from moonlet.kernels.mla_reference import (
    attend_absorbed_reference,
    attend_expanded_reference,
    expanding_saves_arithmetic,
    prepare_reference,
)
from moonlet.kernels.rms_norm import rms_norm, rms_norm_reference
from moonlet.kernels.router import Routing, route_reference, router
from moonlet.kernels.runtime import Runtime
from moonlet.kernels.silu_mul import silu_mul, silu_mul_reference
from moonlet.kernels.weights import Bf16Weight, BlockWeight, F32Weight, Int8Weight, LinearWeight

__all__ = ["AttentionForm", "CpuOps", "Ops", "Routing", "TorchOps"]

AttentionForm = Literal["absorbed", "expanded"]


class Ops(Protocol):
    """Letters: T tokens, D hidden, N out, K in, H heads, E experts, k top-k, P pages, B sequences, W latent width."""

    def embed(self, input_ids: Tensor, table: Tensor) -> Tensor:
        """input_ids: [T] int64.  table: [V, D].  Returns [T, D] float32."""
        ...

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """x: [T, D] float32.  weight: [D] bfloat16.  Returns [T, D] float32."""
        ...

    def linear(self, x: Tensor, weight: LinearWeight) -> Tensor:
        """x: [T, K] float32.  Returns x @ weight^T, [T, N] float32."""
        ...

    def linears(self, x: Tensor, *weights: LinearWeight) -> list[Tensor]:
        """`linear` of the same x by each weight."""
        ...

    def swiglu(self, x: Tensor, gate: LinearWeight, up: LinearWeight, down: LinearWeight) -> Tensor:
        """down(silu(gate x) * (up x)).  x: [T, D] float32.  Returns [T, D] float32."""
        ...

    def route(
        self,
        router_logits: Tensor,
        correction_bias: Tensor,
        *,
        top_k: int,
        scaling: float,
        norm_topk_prob: bool,
        n_group: int = 1,
        topk_group: int = 1,
    ) -> Routing:
        """router_logits: [T, E] float32.  correction_bias: [E] float32.  See `Routing` for the result."""
        ...

    def prepare_attention(
        self,
        q: Tensor,
        compressed: Tensor,
        norm: Tensor,
        eps: float,
        cos: Tensor,
        sin: Tensor,
        pages: Tensor,
        slots: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Split and rotate queries [T, H, nope + R]; norm latents, rotate keys and write both into pages, in place.

        compressed: [T, kv_lora_rank + R] float32, latent and key.  norm: [kv_lora_rank].  cos, sin: [T, R/2] float32.
        pages: [P, 64, W].  slots: [T] int64.  Returns q_nope [T, H, nope] and q_rope [T, H, R] float32.
        """
        ...

    def attend(
        self,
        q_nope: Tensor,
        q_rope: Tensor,
        kv_b: Tensor,
        pages: Tensor,
        page_tables: Tensor,
        seq_idx: Tensor,
        context_lens: Tensor,
        softmax_scale: float,
    ) -> Tensor:
        """Latent attention of each token over its sequence's first `context_lens` cached tokens, itself included.

        q_nope: [T, H, nope], q_rope: [T, H, R] float32.  kv_b: [H * (nope + v), kv_lora_rank].  pages: [P, 64, W].
        page_tables: [B, max_pages] int32.  seq_idx: [T] int32.  context_lens: [T] int32.
        Returns [T, H * v] float32.
        """
        ...


@dataclass(frozen=True, slots=True)
class CpuOps:
    """The kernels of csrc/. Tensors are contiguous and in CPU memory.

    attention: "absorbed" keeps the promise that a token's bits do not depend on company. "expanded" gives it up for
    prompt chunks large enough that widening keys and values saves arithmetic, which then run in torch. Measured on
    one Zen 4 core at K2.5's dimensions that is no gain yet: chunks of 256, 512 and 1024 tokens over 1024 to 2048 took
    1.3, 1.02 and 0.99 times as long as absorbed, since torch is slower per operation and computes masked scores too.
    """

    rt: Runtime
    attention: AttentionForm = "absorbed"

    def embed(self, input_ids: Tensor, table: Tensor) -> Tensor:
        return torch.nn.functional.embedding(input_ids, table).float()

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        return rms_norm(self.rt, x, weight, eps)

    def linear(self, x: Tensor, weight: LinearWeight) -> Tensor:
        match weight:
            case Bf16Weight():
                return linear_bf16(self.rt, x, weight.weight)
            case F32Weight():
                return linear_f32(self.rt, x, weight.weight)
            case BlockWeight():
                return linear_blocks(self.rt, x, weight.blocks, weight.block_format)
            case Int8Weight():
                return linear_int8(self.rt, x, weight.codes, weight.scales)

    def linears(self, x: Tensor, *weights: LinearWeight) -> list[Tensor]:
        blocks = [weight for weight in weights if isinstance(weight, BlockWeight)]
        if len(blocks) == len(weights):
            return linears_blocks(self.rt, x, blocks)
        return [self.linear(x, weight) for weight in weights]

    def swiglu(self, x: Tensor, gate: LinearWeight, up: LinearWeight, down: LinearWeight) -> Tensor:
        match gate, up, down:
            case BlockWeight(), BlockWeight(), BlockWeight():
                return swiglu_blocks(self.rt, x, gate, up, down)
        return self.linear(silu_mul(self.rt, torch.cat(self.linears(x, gate, up), dim=-1)), down)

    def route(
        self,
        router_logits: Tensor,
        correction_bias: Tensor,
        *,
        top_k: int,
        scaling: float,
        norm_topk_prob: bool,
        n_group: int = 1,
        topk_group: int = 1,
    ) -> Routing:
        return router(
            self.rt,
            router_logits,
            correction_bias,
            top_k=top_k,
            scaling=scaling,
            norm_topk_prob=norm_topk_prob,
            n_group=n_group,
            topk_group=topk_group,
        )

    def prepare_attention(
        self,
        q: Tensor,
        compressed: Tensor,
        norm: Tensor,
        eps: float,
        cos: Tensor,
        sin: Tensor,
        pages: Tensor,
        slots: Tensor,
    ) -> tuple[Tensor, Tensor]:
        return mla_prepare(self.rt, q, compressed, norm, eps, cos, sin, pages, slots)

    def attend(
        self,
        q_nope: Tensor,
        q_rope: Tensor,
        kv_b: Tensor,
        pages: Tensor,
        page_tables: Tensor,
        seq_idx: Tensor,
        context_lens: Tensor,
        softmax_scale: float,
    ) -> Tensor:
        expand = self.attention == "expanded" and expanding_saves_arithmetic(q_nope, q_rope, kv_b, page_tables.shape[0])
        attend = attend_expanded_reference if expand else partial(mla_absorbed, self.rt)
        return attend(q_nope, q_rope, kv_b, pages, page_tables, seq_idx, context_lens, softmax_scale)


@dataclass(frozen=True, slots=True)
class TorchOps:
    """Plain torch on one device.

    dtype: what linear layers multiply in. float32 is the reference; bfloat16 is for GPUs.
    device: where weights, cache and activations live.
    attention: in float32 always the form asked for, as a reference; in bfloat16 "expanded" as for `CpuOps`.
    """

    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    attention: AttentionForm = "absorbed"

    def embed(self, input_ids: Tensor, table: Tensor) -> Tensor:
        return torch.nn.functional.embedding(input_ids.to(self.device), table).float()

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        return rms_norm_reference(x, weight, eps)

    def linear(self, x: Tensor, weight: LinearWeight) -> Tensor:
        return linear_reference(x, weight, self.dtype)

    def linears(self, x: Tensor, *weights: LinearWeight) -> list[Tensor]:
        return [self.linear(x, weight) for weight in weights]

    def swiglu(self, x: Tensor, gate: LinearWeight, up: LinearWeight, down: LinearWeight) -> Tensor:
        return self.linear(silu_mul_reference(torch.cat(self.linears(x, gate, up), dim=-1)), down)

    def route(
        self,
        router_logits: Tensor,
        correction_bias: Tensor,
        *,
        top_k: int,
        scaling: float,
        norm_topk_prob: bool,
        n_group: int = 1,
        topk_group: int = 1,
    ) -> Routing:
        return route_reference(
            router_logits,
            correction_bias,
            top_k=top_k,
            scaling=scaling,
            norm_topk_prob=norm_topk_prob,
            n_group=n_group,
            topk_group=topk_group,
        )

    def prepare_attention(
        self,
        q: Tensor,
        compressed: Tensor,
        norm: Tensor,
        eps: float,
        cos: Tensor,
        sin: Tensor,
        pages: Tensor,
        slots: Tensor,
    ) -> tuple[Tensor, Tensor]:
        return prepare_reference(q, compressed, norm, eps, cos, sin, pages, slots)

    def attend(
        self,
        q_nope: Tensor,
        q_rope: Tensor,
        kv_b: Tensor,
        pages: Tensor,
        page_tables: Tensor,
        seq_idx: Tensor,
        context_lens: Tensor,
        softmax_scale: float,
    ) -> Tensor:
        expand = self.attention == "expanded" and (
            self.dtype == torch.float32 or expanding_saves_arithmetic(q_nope, q_rope, kv_b, page_tables.shape[0])
        )
        attend = attend_expanded_reference if expand else attend_absorbed_reference
        return attend(q_nope, q_rope, kv_b, pages, page_tables, seq_idx, context_lens, softmax_scale)
