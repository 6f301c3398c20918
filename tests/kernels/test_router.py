from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moonlet.errors import ShapeError
from moonlet.kernels import Runtime
from moonlet.kernels.router import Routing, route_reference, router
from tests.kernels.compare import assert_close, assert_same_bits


def inputs(num_tokens: int, n_routed_experts: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_tokens)
    logits = torch.randn(num_tokens, n_routed_experts, generator=generator) * 2
    return logits, torch.randn(n_routed_experts, generator=generator) * 0.1


def assert_same_routing(found: Routing, expected: Routing) -> None:
    assert torch.equal(found.topk_ids, expected.topk_ids)
    assert_same_bits(found.topk_weights, expected.topk_weights)


@pytest.mark.parametrize("num_tokens", [1, 7, 65])
@pytest.mark.parametrize(
    ("n_routed_experts", "top_k", "n_group", "topk_group"),
    [(16, 4, 1, 1), (17, 17, 1, 1), (384, 8, 1, 1), (16, 4, 4, 2), (12, 3, 12, 5), (256, 8, 8, 4)],
)
@pytest.mark.parametrize("norm_topk_prob", [True, False])
def test_every_level_equals_scalar_and_scalar_chooses_as_torch(
    rt: Runtime,
    scalar_rt: Runtime,
    num_tokens: int,
    n_routed_experts: int,
    top_k: int,
    n_group: int,
    topk_group: int,
    norm_topk_prob: bool,
) -> None:
    logits, bias = inputs(num_tokens, n_routed_experts)

    def route(chosen_rt: Runtime) -> Routing:
        return router(
            chosen_rt,
            logits,
            bias,
            top_k=top_k,
            scaling=2.827,
            norm_topk_prob=norm_topk_prob,
            n_group=n_group,
            topk_group=topk_group,
        )

    scalar = route(scalar_rt)
    assert_same_routing(route(rt), scalar)
    expected = route_reference(
        logits,
        bias,
        top_k=top_k,
        scaling=2.827,
        norm_topk_prob=norm_topk_prob,
        n_group=n_group,
        topk_group=topk_group,
    )
    # The seeds hold no score so close to the next that the sigmoid's last bit decides.
    assert torch.equal(scalar.topk_ids, expected.topk_ids)
    # Sigmoid within 2e-7, a sum of k and two roundings.
    assert_close(scalar.topk_weights, expected.topk_weights, 1e-6)
    assert torch.equal(scalar.topk_ids, scalar.topk_ids.sort(dim=-1).values)


def test_the_bias_selects_but_does_not_weigh(rt: Runtime) -> None:
    logits, bias = torch.tensor([[3.0, 0.0, -3.0]]), torch.tensor([-10.0, 0.0, 10.0])
    routing = router(rt, logits, bias, top_k=2, scaling=1.0, norm_topk_prob=True)
    assert routing.topk_ids.tolist() == [[1, 2]]
    low = torch.tensor([0.0, -3.0]).sigmoid()
    assert_close(routing.topk_weights[0], low / low.sum(), 1e-6)


def test_between_equal_scores_the_lower_id_wins(rt: Runtime) -> None:
    for n_group, topk_group in [(1, 1), (4, 2)]:
        routing = router(
            rt,
            torch.zeros(2, 16),
            torch.zeros(16),
            top_k=3,
            scaling=1.0,
            norm_topk_prob=True,
            n_group=n_group,
            topk_group=topk_group,
        )
        assert routing.topk_ids.tolist() == [[0, 1, 2]] * 2


def test_experts_outside_the_best_groups_are_not_chosen_even_if_all_scores_are_negative(rt: Runtime) -> None:
    logits = torch.tensor([[9.0, -9.0, 1.0, 1.0]])
    bias = torch.full((4,), -5.0)
    routing = router(rt, logits, bias, top_k=2, scaling=1.0, norm_topk_prob=True, n_group=2, topk_group=1)
    # Group 1 scores 2 * sigmoid(1) = 1.46, group 0 sigmoid(9) + sigmoid(-9) = 1.
    assert routing.topk_ids.tolist() == [[2, 3]]


def test_nan_logits_are_chosen_last_and_show_in_the_weights(rt: Runtime) -> None:
    nan = float("nan")
    logits = torch.tensor([[nan, 1.0, nan, 0.0], [nan, nan, nan, 1.0], [nan, nan, nan, nan]])
    routing = router(rt, logits, torch.zeros(4), top_k=2, scaling=1.0, norm_topk_prob=True)
    assert routing.topk_ids.tolist() == [[1, 3], [0, 3], [0, 1]]
    assert routing.topk_weights.isnan().any(1).tolist() == [False, True, True]
    expected = route_reference(logits, torch.zeros(4), top_k=2, scaling=1.0, norm_topk_prob=True)
    assert torch.equal(routing.topk_ids, expected.topk_ids)


def test_a_row_does_not_depend_on_its_company(rt: Runtime) -> None:
    logits, bias = inputs(65, 384)
    together = router(rt, logits, bias, top_k=8, scaling=2.827, norm_topk_prob=True)
    for t in range(65):
        alone = router(rt, logits[t : t + 1], bias, top_k=8, scaling=2.827, norm_topk_prob=True)
        assert_same_routing(alone, Routing(together.topk_ids[t : t + 1], together.topk_weights[t : t + 1]))


@pytest.mark.parametrize(
    ("top_k", "n_group", "topk_group", "message"),
    [(9, 1, 1, "top_k 9"), (2, 3, 1, "n_group 3"), (2, 4, 5, "topk_group 5"), (5, 4, 2, "expected 1 to 4")],
)
def test_impossible_rules_are_named(rt: Runtime, top_k: int, n_group: int, topk_group: int, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        router(
            rt,
            torch.zeros(1, 8),
            torch.zeros(8),
            top_k=top_k,
            scaling=1.0,
            norm_topk_prob=True,
            n_group=n_group,
            topk_group=topk_group,
        )
