"""Training: it learns, it stops and goes on exactly, it says when it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moonlet.errors import OptionError
from moonlet.train.mixture import Stage
from moonlet.train.options import TrainOptions
from moonlet.train.recipe import Recipe
from moonlet.train.run import train_nano
from moonlet.train.shape import NanoShape
from moonlet.train.state import load_state
from moonlet.train.trainer import Trainer
from moonlet.train.vocabulary import Vocabulary


@pytest.fixture
def start(vocabulary: Vocabulary, stages: tuple[Stage, ...], shape: NanoShape, options: TrainOptions, tmp_path: Path):
    def start(folder: str = "run", **changes: object) -> Trainer:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        return Trainer.start(vocabulary, stages, shape, replace(options, **changes), path)

    return start


def test_the_loss_falls(start) -> None:
    trainer = start()
    batch = trainer.batch(0)
    losses = [trainer.train_step(batch) for _ in range(12)]
    assert losses[-1] < 0.7 * losses[0]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(start) -> None:
    whole = start("whole", steps=4)
    whole.run()
    start("parts", steps=2).run()
    parts = start("parts", steps=4)
    assert parts.step == 2
    parts.run()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, parts.model.state_dict()[name]), name


def test_several_workers_find_the_gradient_of_one(start) -> None:
    one, two = start("one", workers=1), start("two", workers=2)
    batch = one.batch(0)
    assert one.train_step(batch) == pytest.approx(two.train_step(batch), rel=1e-5)
    assert one.model.moe_layers[0].gate.e_score_correction_bias.tolist() == pytest.approx(
        two.model.moe_layers[0].gate.e_score_correction_bias.tolist()
    )
    for first, second in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.allclose(first.grad, second.grad, atol=1e-6)


def test_the_state_on_disk_is_whole_after_a_run(start, tmp_path: Path) -> None:
    start(steps=1).run()
    state = load_state(tmp_path / "run")
    assert state is not None
    assert state.step == 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["state.pt"]


def test_another_seed_does_not_continue_a_run(start) -> None:
    start(steps=1).run()
    with pytest.raises(OptionError, match="--seed 25"):
        start(seed=26)
    assert start(seed=26, fresh=True).step == 0


def test_no_time_means_one_step_and_a_saved_state(start) -> None:
    trainer = start(hours=0.0)
    trainer.run()
    assert trainer.step == 1
    assert start().step == 1


def test_the_router_bias_moves_towards_idle_experts(start) -> None:
    layer = start().model.moe_layers[0]
    layer.load.copy_(torch.tensor([9.0, 1.0, 1.0, 1.0]))
    layer.balance(0.01)
    assert layer.gate.e_score_correction_bias.tolist() == pytest.approx([-0.01, 0.01, 0.01, 0.01])


def test_training_can_start_from_a_checkpoint(
    stages: tuple[Stage, ...], options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: NanoShape
) -> None:
    monkeypatch.setattr("moonlet.train.run.NanoShape", lambda: shape)
    first = train_nano(tmp_path / "first", replace(options, steps=1), recipe=Recipe(None, stages))
    second = train_nano(tmp_path / "second", replace(options, steps=1), init_from=first, recipe=Recipe(None, stages))
    assert (second / "model.safetensors").exists()
    assert "--init-from" in (second / "README.md").read_text()
    assert "the first 1 of 42 steps" in (second / "README.md").read_text()
