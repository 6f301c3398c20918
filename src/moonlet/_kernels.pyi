"""Types of the extension module built from csrc/. Arrays are anything with __dlpack__; the faces pass torch tensors."""

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
def rms_norm(runtime: Runtime, x: Tensor, weight: Tensor, eps: float, out: Tensor) -> None: ...
def rope(runtime: Runtime, x: Tensor, cos: Tensor, sin: Tensor, out: Tensor) -> None: ...
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
def store_latent(runtime: Runtime, pages: Tensor, latent: Tensor, k_rope: Tensor, slots: Tensor) -> None: ...
