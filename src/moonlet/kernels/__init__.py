"""Compiled operations on CPU tensors, each with a plain torch reference beside it.

Every operation takes a Runtime first. Results do not depend on company: a token's row has the same bits whatever the
batch, the chunking, the number of threads and the instruction set (DESIGN decision 3).
"""

from __future__ import annotations

from moonlet.kernels.blocks import (
    BlockExpertsLayer,
    block_experts_forward,
    block_formats,
    dequantize_blocks,
    linear_blocks,
    linears_blocks,
    reference_linear_blocks,
    swiglu_blocks,
)
from moonlet.kernels.draw import draw
from moonlet.kernels.experts import (
    Activations,
    Int4Experts,
    dequantize_int4,
    experts_forward,
    reference_experts_forward,
)
from moonlet.kernels.int8_groups import quantize_int8_groups, reference_quantize_int8_groups
from moonlet.kernels.linear_float import linear_bf16, linear_f32
from moonlet.kernels.linear_int8 import dequantize_int8, linear_int8, quantize_int8, reference_linear_int8
from moonlet.kernels.mla import mla_absorbed, mla_prepare
from moonlet.kernels.patch_attention import patch_attention
from moonlet.kernels.rms_norm import rms_norm
from moonlet.kernels.router import Routing, router
from moonlet.kernels.runtime import Runtime
from moonlet.kernels.silu_mul import silu_mul

__all__ = [
    "Activations",
    "BlockExpertsLayer",
    "Int4Experts",
    "Routing",
    "Runtime",
    "block_experts_forward",
    "block_formats",
    "dequantize_blocks",
    "dequantize_int4",
    "dequantize_int8",
    "draw",
    "experts_forward",
    "linear_bf16",
    "linear_blocks",
    "linear_f32",
    "linear_int8",
    "linears_blocks",
    "mla_absorbed",
    "mla_prepare",
    "patch_attention",
    "quantize_int8",
    "quantize_int8_groups",
    "reference_experts_forward",
    "reference_linear_blocks",
    "reference_linear_int8",
    "reference_quantize_int8_groups",
    "rms_norm",
    "router",
    "silu_mul",
    "swiglu_blocks",
]
