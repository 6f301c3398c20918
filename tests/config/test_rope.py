"""YaRN parameters as the checkpoints of the family publish them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from moonlet.checkpoint import open_checkpoint
from moonlet.config import RopeScaling
from moonlet.errors import ConfigError
from moonlet.model.rope import Rope
from tests.fakes.engines import TINY

K2_THINKING = RopeScaling("yarn", 64.0, 4096, beta_fast=1.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0)


def test_equal_betas_as_in_kimi_k2_are_a_step_instead_of_a_ramp() -> None:
    text = replace(open_checkpoint(TINY).config.text, rope_scaling=K2_THINKING)
    inv_freq = Rope.from_config(text).inv_freq
    plain = Rope.from_config(replace(text, rope_scaling=None)).inv_freq
    ratio = plain / inv_freq
    assert torch.isfinite(inv_freq).all()
    assert ratio.min() == 1.0
    assert ratio.max() == pytest.approx(64.0)


def test_a_fast_beta_below_the_slow_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"beta_fast is 0\.5, expected at least beta_slow"):
        replace(K2_THINKING, beta_fast=0.5)
