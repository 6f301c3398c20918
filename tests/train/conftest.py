"""A model small enough to train inside a test, on the real vocabulary."""

from __future__ import annotations

from dataclasses import replace

import pytest

from moonlet.train.mixture import Stage
from moonlet.train.options import TrainOptions
from moonlet.train.shape import NanoShape
from moonlet.train.tasks import TOOL_TASKS, VISUAL_TASKS
from moonlet.train.tower import TowerShape
from moonlet.train.vocabulary import Vocabulary, nano_vocabulary


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return nano_vocabulary()


@pytest.fixture
def shape() -> NanoShape:
    return NanoShape(
        hidden_size=64,
        num_hidden_layers=2,
        intermediate_size=64,
        moe_intermediate_size=32,
        n_routed_experts=4,
        num_experts_per_tok=2,
        num_attention_heads=2,
        q_lora_rank=32,
        kv_lora_rank=32,
        qk_nope_head_dim=16,
        qk_rope_head_dim=16,
        v_head_dim=16,
    )


@pytest.fixture
def stages() -> tuple[Stage, ...]:
    text_only = dict.fromkeys((task.name for task in TOOL_TASKS + VISUAL_TASKS), 0.0)
    return (
        Stage("plain", 2, lr_start=3e-3, lr_end=3e-3, level=0.2, quantised=False, muon=False, weights=text_only),
        Stage("int4", 40, lr_start=3e-3, lr_end=1e-3, level=0.2, quantised=True, weights=text_only),
    )


@pytest.fixture
def options() -> TrainOptions:
    return TrainOptions(rows=4, row_tokens=128, float32=True, check_every=0)


@pytest.fixture
def seeing_shape(shape: NanoShape) -> NanoShape:
    tower = TowerShape(
        vt_hidden_size=32,
        vt_num_hidden_layers=2,
        vt_num_attention_heads=2,
        vt_intermediate_size=64,
        text_hidden_size=64,
    )
    return replace(shape, vision=tower)
