"""Doubling the experts: nothing changes at first, and balancing brings the copies in."""

from __future__ import annotations

from dataclasses import replace

import torch

from moonlet.train.grow import double_experts
from moonlet.train.network import NanoModel
from moonlet.train.shape import NanoShape


def grown(shape: NanoShape) -> tuple[NanoModel, NanoModel]:
    """A model and the same with twice its experts."""
    small = NanoModel(shape, torch.Generator().manual_seed(1))
    large = NanoModel(replace(shape, n_routed_experts=2 * shape.n_routed_experts))
    large.load_state_dict(double_experts(small.state_dict(), shape, seed=2))
    return small, large


def test_the_grown_model_says_what_the_small_one_said(shape: NanoShape) -> None:
    small, large = grown(shape)
    ids = torch.randint(0, shape.vocab_size, (2, 40), generator=torch.Generator().manual_seed(3))
    mask = torch.ones(2, 1, 40, 40, dtype=torch.bool).tril()
    with torch.no_grad():
        torch.testing.assert_close(large.hidden(ids, mask), small.hidden(ids, mask))


def test_balancing_brings_every_copy_into_use(shape: NanoShape) -> None:
    _, large = grown(shape)
    large.train()
    ids = torch.randint(0, shape.vocab_size, (2, 64), generator=torch.Generator().manual_seed(3))
    mask = torch.ones(2, 1, 64, 64, dtype=torch.bool).tril()
    (layer,) = large.moe_layers
    with torch.no_grad():
        large.hidden(ids, mask)
        assert not layer.load[shape.n_routed_experts :].any()
        for _ in range(100):
            layer.balance(0.02)
            large.hidden(ids, mask)
    assert bool((layer.load > 0).all())


def test_a_copy_is_near_its_origin_and_not_the_same(shape: NanoShape) -> None:
    weights = NanoModel(shape).state_dict()
    doubled = double_experts(weights, shape, seed=2)
    name = next(name for name in weights if name.endswith("experts.gate_proj"))
    old, copy = doubled[name].chunk(2)
    assert torch.equal(old, weights[name])
    assert not torch.equal(copy, old)
    torch.testing.assert_close(copy, old, atol=0.15 * float(old.std()), rtol=0)
