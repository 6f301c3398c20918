"""The whole decoder against the reference run of the golden tiny checkpoint (float32, dequantised weights)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from moonlet.model import Decoder

from .conftest import Recorder, run


def assert_within(found: Tensor, expected: Tensor, tolerance: float) -> None:
    difference = (found - expected).abs()
    assert difference.max().item() <= tolerance, f"max {difference.max():.3e}, mean {difference.mean():.3e}"


def test_reference_hidden_states_and_logits_equal_the_golden_run(
    reference: Decoder, expected: dict[str, Tensor]
) -> None:
    recorder = Recorder()
    logits = run(reference, expected["text.input_ids"], recorder=recorder)
    for layer_idx in range(4):
        assert_within(recorder.hidden[layer_idx], expected[f"text.hidden.{layer_idx}"], 1e-4)
    assert_within(logits, expected["text.logits"], 1e-4)


def test_reference_chooses_the_golden_experts_with_the_golden_weights(
    reference: Decoder, expected: dict[str, Tensor]
) -> None:
    recorder = Recorder()
    run(reference, expected["text.input_ids"], recorder=recorder)
    for layer_idx in (1, 2, 3):
        routing = recorder.routing[layer_idx]
        assert torch.equal(routing.topk_ids, expected[f"text.router_experts.{layer_idx}"])
        assert_within(routing.topk_weights, expected[f"text.router_weights.{layer_idx}"], 1e-5)


def test_reference_at_far_positions(reference: Decoder, expected: dict[str, Tensor]) -> None:
    # The golden run formed its angles in float32; ours are float64, hence the README's wider tolerance.
    logits = run(reference, expected["text.input_ids"], positions=expected["text_gaps.position_ids"])
    assert_within(logits, expected["text_gaps.logits"], 2e-3)


def test_reference_over_4300_tokens(reference: Decoder, expected: dict[str, Tensor]) -> None:
    logits = run(reference, expected["long.input_ids"], chunk_size=860)
    assert_within(logits[-8:], expected["long.last8_logits"], 2e-3)
    agree = logits.argmax(-1) == expected["long.argmax"]
    # A margin below the tolerance may fall either way.
    assert agree[expected["long.argmax_margin"] > 4e-3].all()


def test_reference_decodes_the_golden_greedy_tokens(reference: Decoder, expected: dict[str, Tensor]) -> None:
    ids = torch.cat((expected["text.input_ids"], expected["greedy.ids"]))
    logits = run(reference, ids)
    assert torch.equal(logits[47:-1].argmax(-1), expected["greedy.ids"])


def test_bf16_activation_kernels_within_the_published_tolerance(
    on_kernels: Callable[..., Decoder], expected: dict[str, Tensor]
) -> None:
    logits = run(on_kernels("bf16"), expected["text.input_ids"], kv_dtype=torch.float16)
    difference = (logits - expected["text.logits"]).abs()
    agree = (logits.argmax(-1) == expected["text.logits"].argmax(-1)).float().mean().item()
    assert difference.mean().item() <= 0.1, f"mean {difference.mean():.3e}, max {difference.max():.3e}"
    assert agree >= 0.8, f"argmax agrees on {agree:.0%}"


@pytest.mark.parametrize("text", ["text", "long"])
def test_int8_activations_stay_close_where_the_router_agrees(
    reference: Decoder, on_kernels: Callable[..., Decoder], expected: dict[str, Tensor], text: str
) -> None:
    """Mean KL divergence from float32 at most 1e-3 nats, over tokens that chose the same experts in every layer."""
    ids = expected[f"{text}.input_ids"][:512]
    truth, found = Recorder(), Recorder()
    p = log_softmax(run(reference, ids, recorder=truth).double(), -1)
    q = log_softmax(run(on_kernels("int8"), ids, kv_dtype=torch.float16, recorder=found).double(), -1)
    divergence = (p.exp() * (p - q)).sum(-1)
    same = torch.ones(len(ids), dtype=torch.bool)
    for layer_idx, routing in truth.routing.items():
        same &= (routing.topk_ids == found.routing[layer_idx].topk_ids).all(-1)
    print(
        f"{text}: {len(ids)} tokens, {int((~same).sum())} with a router flip, "
        f"mean KL {divergence[same].mean():.2e} nats where none, {divergence.mean():.2e} over all"
    )
    assert same.float().mean() > 0.5
    assert divergence[same].mean().item() <= 1e-3
