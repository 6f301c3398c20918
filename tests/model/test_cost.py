"""Costs computed from config.json agree with the files and with published counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from moonlet.checkpoint import expected_layout
from moonlet.checkpoint.write import spec_bytes
from moonlet.config import ModelConfig, load_model_config
from moonlet.model.cost import (
    active_parameters,
    decode_operations,
    decode_traffic,
    kv_bytes_per_token,
    parameters,
    prefill_operations,
    weight_bytes,
)

TINY = Path(__file__).parents[1] / "vectors" / "tiny-k25"
K25 = Path(__file__).parents[3] / "shared" / "k25"
WEIGHT_SHAPE_BYTES = 8


@pytest.fixture
def tiny() -> ModelConfig:
    return load_model_config(TINY)


@pytest.fixture
def k25() -> ModelConfig:
    if not K25.is_dir():
        pytest.skip("the published files of K2.5 are not part of the repository")
    return load_model_config(K25)


def test_bytes_of_the_parts_are_the_bytes_of_the_files(tiny: ModelConfig) -> None:
    layout = expected_layout(tiny)
    records = sum(spec.contents is not None for spec in layout.values())
    assert weight_bytes(tiny).total + records * WEIGHT_SHAPE_BYTES == sum(map(spec_bytes, layout.values()))


def test_parameters_of_the_parts_are_the_elements_of_the_files(tiny: ModelConfig) -> None:
    elements = 0
    for spec in expected_layout(tiny).values():
        if spec.contents is not None:
            elements += spec.contents[0] * spec.contents[1]
        elif spec.dtype != "I32":
            elements += spec_bytes(spec) // (4 if spec.dtype == "F32" else 2)
    scales = parameters(tiny).routed_experts // 32
    assert parameters(tiny).total == elements - scales


def test_k25_has_the_parameters_others_counted(k25: ModelConfig) -> None:
    counts = parameters(k25)
    # The language model, as a third party counted it; and the active share derived from the published config.
    assert counts.total - counts.vision == 1_026_408_232_448
    assert round(active_parameters(k25) / 1e9, 2) == 31.69


def test_k25_reads_and_caches_what_the_published_dimensions_say(k25: ModelConfig) -> None:
    traffic = decode_traffic(k25, context_length=0)
    assert round(traffic.routed_experts / 1e9, 1) == 11.9
    assert round(traffic.other_weights / 1e9, 1) == 21.1
    assert kv_bytes_per_token(k25) == 61 * 576 * 2
    assert round(kv_bytes_per_token(k25) * 262_144 / 1e9, 1) == 18.4
    assert weight_bytes(k25).total + 69_120 * WEIGHT_SHAPE_BYTES == 595_148_192_736


def test_int8_linears_halve_what_is_not_experts_and_leave_the_router(tiny: ModelConfig) -> None:
    stored, lighter = weight_bytes(tiny), weight_bytes(tiny, "int8")
    assert lighter.routed_experts == stored.routed_experts
    assert lighter.router == stored.router
    assert lighter.lm_head * 32 == stored.lm_head * 17
    assert decode_traffic(tiny, 0, "int8").other_weights < 0.7 * decode_traffic(tiny, 0).other_weights


def test_a_longer_context_costs_cache_and_attention_alone(tiny: ModelConfig) -> None:
    short, long = decode_traffic(tiny, 10), decode_traffic(tiny, 1010)
    assert long.total - short.total == 1000 * kv_bytes_per_token(tiny)
    heads, latent, rope = 4, 64, 16
    assert decode_operations(tiny, 1010) - decode_operations(tiny, 10) == 1000 * 4 * 2 * heads * (2 * latent + rope)


def test_prefilling_tokens_one_by_one_costs_the_same_but_for_the_head(tiny: ModelConfig) -> None:
    steps = sum(decode_operations(tiny, position + 1) for position in range(50, 57))
    assert prefill_operations(tiny, 7, num_cached=50) == steps - 6 * 2 * parameters(tiny).lm_head
