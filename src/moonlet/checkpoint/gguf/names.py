"""What llama.cpp calls the tensors that the published checkpoint calls otherwise (architecture deepseek2).

Three shapes differ: the routed experts of a layer are stacked, kv_b_proj is cut in two per head with the key half
transposed, and norms, router and bias are F32.
Source: constants.py (MODEL_TENSOR.*) and conversion/deepseek.py of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from moonlet.checkpoint.layout import expected_layout
from moonlet.config import ModelConfig
from moonlet.errors import CheckpointError

_TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}

_LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_a_proj.weight": "attn_q_a.weight",
    "self_attn.q_a_layernorm.weight": "attn_q_a_norm.weight",
    "self_attn.q_b_proj.weight": "attn_q_b.weight",
    "self_attn.kv_a_proj_with_mqa.weight": "attn_kv_a_mqa.weight",
    "self_attn.kv_a_layernorm.weight": "attn_kv_a_norm.weight",
    "self_attn.kv_b_proj.weight": "attn_kv_b.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "mlp.gate.weight": "ffn_gate_inp.weight",
    "mlp.gate.e_score_correction_bias": "exp_probs_b.bias",
    "mlp.shared_experts.gate_proj.weight": "ffn_gate_shexp.weight",
    "mlp.shared_experts.up_proj.weight": "ffn_up_shexp.weight",
    "mlp.shared_experts.down_proj.weight": "ffn_down_shexp.weight",
}

_EXPERTS = {
    "gate_proj": "ffn_gate_exps.weight",
    "up_proj": "ffn_up_exps.weight",
    "down_proj": "ffn_down_exps.weight",
    "gate_up_proj": "ffn_gate_up_exps.weight",
}
FUSED_GATE_UP = _EXPERTS["gate_up_proj"]
"""Some files stack gate over up in one tensor."""

KV_B, K_B, V_B = "attn_kv_b.weight", "attn_k_b.weight", "attn_v_b.weight"


@dataclass(frozen=True, slots=True)
class GgufSpec:
    """What a tensor of the file must be.

    published: the name of the tensor it comes from; for experts that of the matrix, such as
    "model.layers.3.mlp.experts.{}.up_proj", with a place for the expert's number.
    role: "vector" (kept in F32), "router" (likewise), "matrix" or "experts".
    """

    name: str
    published: str
    shape: tuple[int, ...]
    role: str


def gguf_name(published: str) -> str:
    """The file's name for a published tensor that is not an expert's, without the "language_model." prefix.

    kv_b_proj gives the name it has in older files; newer ones cut it in two. Raises CheckpointError if unknown.
    """
    if published in _TOP:
        return _TOP[published]
    parts = published.split(".", 3)
    if len(parts) == 4 and parts[:2] == ["model", "layers"] and parts[3] in _LAYER:
        return f"blk.{parts[2]}.{_LAYER[parts[3]]}"
    raise CheckpointError(f"{published}: GGUF files have no name for this tensor")


def experts_name(layer_idx: int, matrix: str) -> str:
    """The stacked experts of a layer; matrix: "gate_proj", "up_proj", "down_proj"; "gate_up_proj" for both stacked."""
    return f"blk.{layer_idx}.{_EXPERTS[matrix]}"


def expected_tensors(config: ModelConfig, *, split_kv_b: bool, fused_gate_up: bool = False) -> Iterator[GgufSpec]:
    """Every tensor of a file for `config`, in the order of the published layout; the vision tower is not part of it.

    split_kv_b: attn_k_b and attn_v_b as written since 2025, rather than the older attn_kv_b.
    fused_gate_up: the experts' gate and up stacked in one tensor.
    """
    text = config.text
    prefix = config.tensor_prefix
    # One expert a layer stands for the stack, so the layout is built as if there were one.
    single = replace(text, n_routed_experts=1, num_experts_per_tok=1, n_group=1, topk_group=1)
    plain = replace(config, text=single, vision=None, quantization=None, media_placeholder_token_id=None)
    for full_name, spec in expected_layout(plain).items():
        published = full_name.removeprefix(prefix)
        shape = spec.shape
        if ".mlp.experts.0." in published:
            matrix = published.replace(".experts.0.", ".experts.{}.").removesuffix(".weight")
            layer, part = int(published.split(".")[2]), matrix.rpartition(".")[2]
            rows = shape[0]
            if fused_gate_up and part != "down_proj":
                if part == "up_proj":
                    continue
                part, rows = "gate_up_proj", 2 * rows
            stacked = (text.n_routed_experts, rows, shape[1])
            yield GgufSpec(experts_name(layer, part), prefix + matrix, stacked, "experts")
            continue
        name = gguf_name(published)
        if ".mlp.gate." in published:
            yield GgufSpec(name, full_name, (text.n_routed_experts, *shape[1:]), "router")
        elif name.endswith(KV_B) and split_kv_b:
            heads, nope, value = text.num_attention_heads, text.qk_nope_head_dim, text.v_head_dim
            stem = name.removesuffix(KV_B)
            yield GgufSpec(stem + K_B, full_name, (heads, text.kv_lora_rank, nope), "matrix")
            yield GgufSpec(stem + V_B, full_name, (heads, value, text.kv_lora_rank), "matrix")
        else:
            yield GgufSpec(name, full_name, shape, "vector" if len(shape) == 1 else "matrix")
