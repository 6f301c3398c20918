"""Feed-forward layers: the dense SwiGLU, and the mixture of routed and shared experts."""

from __future__ import annotations

from torch import Tensor

from moonlet.config import TextConfig
from moonlet.kernels.ops import Ops, Routing
from moonlet.model.expert_backend import ExpertBackend
from moonlet.model.weights import MlpWeights, MoeWeights


def swiglu(ops: Ops, weights: MlpWeights, hidden_states: Tensor) -> Tensor:
    """down(silu(gate(x)) * up(x)): [T, hidden_size] to [T, hidden_size], float32."""
    return ops.swiglu(hidden_states, weights.gate_proj, weights.up_proj, weights.down_proj)


def route(ops: Ops, config: TextConfig, weights: MoeWeights, hidden_states: Tensor) -> Routing:
    """Choose each token's routed experts.

    By biased score, weighed by unbiased score: the bias balances load in training and must not scale the output.
    Source: DeepSeek-V3 report, arXiv 2412.19437, section 2.1.2.
    """
    return ops.route(
        ops.linear(hidden_states, weights.gate),
        weights.e_score_correction_bias,
        top_k=config.num_experts_per_tok,
        scaling=config.routed_scaling_factor,
        norm_topk_prob=config.norm_topk_prob,
        n_group=config.n_group,
        topk_group=config.topk_group,
    )


def mixture(
    ops: Ops,
    config: TextConfig,
    weights: MoeWeights,
    experts: ExpertBackend,
    layer_idx: int,
    hidden_states: Tensor,
) -> tuple[Tensor, Routing]:
    """Routed experts plus the shared expert: [T, hidden_size] float32, and the choice made."""
    routing = route(ops, config, weights, hidden_states)
    routed = experts.forward(layer_idx, hidden_states, routing.topk_ids, routing.topk_weights)
    return routed + swiglu(ops, weights.shared_experts, hidden_states), routing
