"""Types of the extension module built from csrc/. Arrays are anything with __dlpack__; the faces pass torch tensors."""

import numpy as np
import numpy.typing as npt
from torch import Tensor

class Runtime:
    def __init__(self, num_threads: int, isa: str) -> None: ...
    @property
    def num_threads(self) -> int: ...
    @property
    def isa(self) -> str: ...

class Int4Experts:
    def __init__(
        self,
        gate_packed: list[Tensor],
        gate_scales: list[Tensor],
        up_packed: list[Tensor],
        up_scales: list[Tensor],
        down_packed: list[Tensor],
        down_scales: list[Tensor],
    ) -> None: ...
    @property
    def num_experts(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def intermediate_size(self) -> int: ...

class BlockExpertsLayer:
    def __init__(
        self, gate: Tensor, gate_format: str, up: Tensor | None, up_format: str, down: Tensor, down_format: str
    ) -> None: ...
    @property
    def num_experts(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def intermediate_size(self) -> int: ...

def supported_isas() -> list[str]: ...
def experts_forward(
    runtime: Runtime,
    layer: Int4Experts,
    x: Tensor,
    topk_ids: Tensor,
    topk_weights: Tensor,
    activations: str,
    out: Tensor,
) -> None: ...
def block_formats() -> list[str]: ...
def block_size(block_format: str) -> tuple[int, int]: ...
def block_experts_forward(
    runtime: Runtime, layer: BlockExpertsLayer, x: Tensor, topk_ids: Tensor, topk_weights: Tensor, out: Tensor
) -> None: ...
def dequantize_blocks(runtime: Runtime, blocks: Tensor, block_format: str, out: Tensor) -> None: ...
def draw(
    runtime: Runtime,
    logits: npt.NDArray[np.float32],
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    number: float,
) -> int: ...
def linear_blocks(
    runtime: Runtime, x: Tensor, blocks: list[Tensor], block_formats: list[str], outs: list[Tensor]
) -> None: ...
def linear_int8(runtime: Runtime, x: Tensor, codes: Tensor, scales: Tensor, out: Tensor) -> None: ...
def quantize_int8_groups(runtime: Runtime, x: Tensor, codes: Tensor, scales: Tensor) -> None: ...
def read_memory(runtime: Runtime, buffer: Tensor) -> int: ...
def multiply_int8(runtime: Runtime, num_rounds: int) -> int: ...
def linear_bf16(runtime: Runtime, x: Tensor, weight: Tensor, out: Tensor) -> None: ...
def linear_f32(runtime: Runtime, x: Tensor, weight: Tensor, out: Tensor) -> None: ...
def mla_absorbed(
    runtime: Runtime,
    q_nope: Tensor,
    q_rope: Tensor,
    kv_b: Tensor,
    pages: Tensor,
    page_tables: Tensor,
    seq_idx: Tensor,
    context_lens: Tensor,
    softmax_scale: float,
    out: Tensor,
) -> None: ...
def mla_prepare(
    runtime: Runtime,
    q: Tensor,
    compressed: Tensor,
    norm: Tensor,
    eps: float,
    cos: Tensor,
    sin: Tensor,
    pages: Tensor,
    slots: Tensor,
    q_nope: Tensor,
    q_rope: Tensor,
) -> None: ...
def patch_attention(runtime: Runtime, qkv: Tensor, out: Tensor) -> None: ...
def rms_norm(runtime: Runtime, x: Tensor, weight: Tensor, eps: float, out: Tensor) -> None: ...
def router(
    runtime: Runtime,
    router_logits: Tensor,
    correction_bias: Tensor,
    scaling: float,
    norm_topk_prob: bool,
    n_group: int,
    topk_group: int,
    topk_ids: Tensor,
    topk_weights: Tensor,
) -> None: ...
def silu_mul(runtime: Runtime, gate_up: Tensor, out: Tensor) -> None: ...
def swiglu_blocks(
    runtime: Runtime,
    x: Tensor,
    gate: Tensor,
    gate_format: str,
    up: Tensor,
    up_format: str,
    down: Tensor,
    down_format: str,
    out: Tensor,
) -> None: ...
