"""Products with weights in the block formats of GGUF files, computed from the bytes as they are stored.

The formats are specified by csrc/formats/, the arithmetic and its order by csrc/blocks/blocks.h. `moonlet.formats.gguf`
says the same of every format in numpy; tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from moonlet import _kernels
from moonlet.kernels.runtime import Runtime
from moonlet.kernels.weights import BlockWeight


@cache
def block_formats() -> frozenset[str]:
    """The names of the formats these operations know, as GGUF tools print them ("Q8_0", "IQ2_XXS" ...)."""
    return frozenset(_kernels.block_formats())


def linear_blocks(rt: Runtime, x: Tensor, blocks: Tensor, block_format: str) -> Tensor:
    """x times the transposed weight, over activations quantised per token and group of 32.

    x: [T, K] float32.  blocks: [N, row bytes] uint8, each row whole blocks of K weights; may be mapped, any alignment.
    Returns [T, N] float32; a token's row has the same bits for any T, number of threads and instruction set.
    Raises ShapeError, and OptionError for an unknown format.
    """
    return linears_blocks(rt, x, [BlockWeight(blocks, block_format)])[0]


def linears_blocks(rt: Runtime, x: Tensor, weights: Sequence[BlockWeight]) -> list[Tensor]:
    """`linear_blocks` of the same x by each of `weights`, at least one, with the same bits.

    x is quantised once, and the threads share the rows of all weights: small layers one by one would keep them waiting.
    """
    outs = [torch.empty((x.shape[0], weight.blocks.shape[0]), dtype=torch.float32) for weight in weights]
    blocks, names = [weight.blocks for weight in weights], [weight.block_format for weight in weights]
    _kernels.linear_blocks(rt.native, x, blocks, names, outs)
    return outs


def swiglu_blocks(rt: Runtime, x: Tensor, gate: BlockWeight, up: BlockWeight, down: BlockWeight) -> Tensor:
    """down(silu(gate x) * (up x)), as `linear_blocks` and `silu_mul` one after another give it, bit for bit.

    x: [T, D] float32.  gate, up: [F, row bytes of D weights], down: [D, row bytes of F weights]; F a multiple of 32.
    Returns [T, D] float32. Raises ShapeError, and OptionError for an unknown format.
    """
    out = torch.empty((x.shape[0], down.blocks.shape[0]), dtype=torch.float32)
    _kernels.swiglu_blocks(
        rt.native,
        x,
        gate.blocks,
        gate.block_format,
        up.blocks,
        up.block_format,
        down.blocks,
        down.block_format,
        out,
    )
    return out


def dequantize_blocks(blocks: Tensor, block_format: str, rt: Runtime | None = None) -> Tensor:
    """The float32 weight [N, K] that blocks [N, row bytes] uint8 stand for, bit for bit what ggml gives.

    rt: None uses one thread of plain C++. Raises ShapeError and OptionError as `linear_blocks`.
    """
    per_block, block_bytes = _kernels.block_size(block_format)
    out = torch.empty((blocks.shape[0], blocks.shape[1] // block_bytes * per_block), dtype=torch.float32)
    _kernels.dequantize_blocks((rt or Runtime(1, "scalar")).native, blocks, block_format, out)
    return out


def reference_linear_blocks(x: Tensor, blocks: Tensor, block_format: str) -> Tensor:
    """`linear_blocks` with float32 activations as they are: the result without their quantisation."""
    return x @ dequantize_blocks(blocks, block_format).T


class BlockExpertsLayer:
    """One layer's routed experts in block formats; holds the tensors it is given and copies nothing.

    E experts, D hidden_size, F moe_intermediate_size; each kind of matrix has a format of its own:
    gate, up: [E, F, row bytes of D weights] uint8; up None where gate is [E, 2F, row bytes], rows of gate before those
    of up.  down: [E, D, row bytes of F weights] uint8.
    Tensors may be memory-mapped and need no alignment, but must be contiguous.
    Raises ShapeError, naming the tensor, and OptionError for an unknown format.
    """

    __slots__ = ("native",)

    def __init__(
        self, gate: Tensor, gate_format: str, up: Tensor | None, up_format: str, down: Tensor, down_format: str
    ) -> None:
        self.native = _kernels.BlockExpertsLayer(gate, gate_format, up, up_format, down, down_format)

    @property
    def num_experts(self) -> int:
        return self.native.num_experts

    @property
    def hidden_size(self) -> int:
        return self.native.hidden_size

    @property
    def moe_intermediate_size(self) -> int:
        return self.native.intermediate_size


def block_experts_forward(
    rt: Runtime, layer: BlockExpertsLayer, x: Tensor, topk_ids: Tensor, topk_weights: Tensor
) -> Tensor:
    """Sum over each token's experts e of weight_e * down_e(silu(gate_e x) * (up_e x)), added in ascending order of e.

    x: [T, D] float32.  topk_ids: [T, k] int32.  topk_weights: [T, k] float32.
    x and the intermediate values are quantised to int8 per token and group of 32.
    Returns [T, D] float32; a token's row has the same bits for any T, number of threads and instruction set.
    Raises ShapeError, also for an id outside [0, num_experts).
    """
    out = torch.empty((x.shape[0], layer.hidden_size), dtype=torch.float32)
    _kernels.block_experts_forward(rt.native, layer.native, x, topk_ids, topk_weights, out)
    return out
