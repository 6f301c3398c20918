"""Choosing routed experts (`noaux_tc` with sigmoid scores): the fast call and its torch reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moonlet import _kernels
from moonlet.kernels.runtime import Runtime

_SUM_GUARD = 1e-20
"""Added to the sum of weights before dividing, as in the published modelling code."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The experts each token goes to.

    topk_ids: [T, k] int32, ascending in each row, so that experts are always added in one order.
    topk_weights: [T, k] float32, in the order of topk_ids.
    """

    topk_ids: Tensor
    topk_weights: Tensor


def route_reference(
    router_logits: Tensor,
    correction_bias: Tensor,
    *,
    top_k: int,
    scaling: float,
    norm_topk_prob: bool,
    n_group: int = 1,
    topk_group: int = 1,
) -> Routing:
    """Choose `top_k` routed experts for each token by biased score and weigh them by unbiased score.

    The bias balances load in training and must not scale the output. With n_group > 1 only the `topk_group` groups with
    the largest sum of their two best biased scores take part. Between equal scores the lower id wins; a NaN score
    is chosen last, and shows in the weights if it is chosen.

    router_logits: [T, E].  correction_bias: [E].  Source: DeepSeek-V3 report, arXiv 2412.19437, section 2.1.2.
    """
    num_tokens, n_routed_experts = router_logits.shape
    scores = router_logits.float().sigmoid()
    biased = scores + correction_bias.float()
    biased = biased.masked_fill(biased.isnan(), -torch.inf)
    if n_group > 1:
        grouped = biased.view(num_tokens, n_group, n_routed_experts // n_group)
        group_scores = grouped.topk(min(2, grouped.shape[-1]), dim=-1).values.sum(-1)
        kept = group_scores.sort(dim=-1, descending=True, stable=True).indices[:, :topk_group]
        dropped = torch.ones_like(group_scores, dtype=torch.bool).scatter_(1, kept, False)
        biased = grouped.masked_fill(dropped[:, :, None], -torch.inf).flatten(1)
    chosen = biased.sort(dim=-1, descending=True, stable=True).indices[:, :top_k].sort(dim=-1).values
    weights = scores.gather(1, chosen)
    if norm_topk_prob:
        weights = weights / (weights.sum(-1, keepdim=True) + _SUM_GUARD)
    return Routing(chosen.to(torch.int32), weights * scaling)


def router(
    rt: Runtime,
    router_logits: Tensor,
    correction_bias: Tensor,
    *,
    top_k: int,
    scaling: float,
    norm_topk_prob: bool,
    n_group: int = 1,
    topk_group: int = 1,
) -> Routing:
    """`route_reference` on the kernels.  router_logits: [T, E] float32.  correction_bias: [E] float32."""
    topk_ids = router_logits.new_empty(router_logits.shape[0], top_k, dtype=torch.int32)
    topk_weights = router_logits.new_empty(router_logits.shape[0], top_k)
    _kernels.router(
        rt.native,
        router_logits,
        correction_bias,
        scaling,
        norm_topk_prob,
        n_group,
        topk_group,
        topk_ids,
        topk_weights,
    )
    return Routing(topk_ids, topk_weights)
