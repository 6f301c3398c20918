"""YaRN against the published numbers and against its own formula in exact-enough arithmetic."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moonlet.config import TextConfig
from moonlet.model.rope import Rope, inverse_frequencies, softmax_scale

VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture(scope="module")
def published() -> dict[str, object]:
    return json.loads((VECTORS / "rope.json").read_text())


@pytest.fixture
def k25_text(tiny_config: TextConfig) -> TextConfig:
    """The tiny model's config with the attention shape of the published one; the rest does not enter YaRN."""
    return replace(tiny_config, qk_nope_head_dim=128, qk_rope_head_dim=64)


def test_inverse_frequencies_equal_the_published_ones(k25_text: TextConfig, published: dict[str, object]) -> None:
    expected = torch.tensor(published["inv_freq"], dtype=torch.float64)
    # The reference computed in float32: 2e-7 relative is its own rounding.
    torch.testing.assert_close(inverse_frequencies(k25_text), expected, rtol=3e-7, atol=0)


def test_softmax_scale_carries_mscale_squared(k25_text: TextConfig, published: dict[str, object]) -> None:
    assert softmax_scale(k25_text) == pytest.approx(published["softmax_scale"], rel=1e-12)
    plain = replace(k25_text, rope_scaling=None)
    assert softmax_scale(plain) == pytest.approx(192**-0.5)


def test_last_position_is_as_exact_as_the_first(k25_text: TextConfig) -> None:
    rope = Rope.from_config(k25_text)
    positions = [0, 1, 4095, 4096, 131_071, 262_143]
    cos, sin = rope.cos_sin(torch.tensor(positions))
    for row, position in enumerate(positions):
        for pair, frequency in enumerate(rope.inv_freq.tolist()):
            assert cos[row, pair].item() == pytest.approx(math.cos(position * frequency), abs=1e-7)
            assert sin[row, pair].item() == pytest.approx(math.sin(position * frequency), abs=1e-7)


def test_without_scaling_frequencies_are_plain_powers(k25_text: TextConfig) -> None:
    plain = replace(k25_text, rope_scaling=None)
    expected = [plain.rope_theta ** (-2 * i / 64) for i in range(32)]
    assert inverse_frequencies(plain).tolist() == pytest.approx(expected, rel=1e-12)
