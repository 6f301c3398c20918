"""The warm-up of the eyes: it learns, and a stopped one goes on exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import torch

from moonlet.train.options import TrainOptions
from moonlet.train.shape import NanoShape
from moonlet.train.tasks.event_time import EventTime
from moonlet.train.tasks.shapes import Shapes
from moonlet.train.tower import Eyes
from moonlet.train.warmup import WarmUp, quiz, warm_up

ONE_KIND = dict.fromkeys(
    ("reading", "charts", "compare", "motion", "colour_order", "event_time", "box_labels", "page_code"), 0.0
)
PLAN = WarmUp(steps=60, pictures=16, learning_rate=3e-3, weights=ONE_KIND)


def fresh_eyes(shape: NanoShape) -> Eyes:
    return Eyes(shape.vision, torch.Generator().manual_seed(1))


def test_questions_point_at_the_tokens_of_their_picture() -> None:
    scene = Shapes().sample(Random(1), 0.5).media[0]
    clip = EventTime().sample(Random(1), 0.5).media[0]
    asked = quiz([clip, scene])
    tokens, answers = asked.questions["shape"]
    assert asked.sight.rows[tokens].unique().tolist() == [1]
    by_place = dict(zip(asked.sight.positions[tokens].tolist(), answers.tolist(), strict=True))
    assert by_place == {label.token: label.answer for label in scene.labels() if label.head == "shape"}


def test_the_loss_falls_and_a_stopped_warm_up_goes_on_exactly(seeing_shape: NanoShape, tmp_path: Path, caplog) -> None:
    options = TrainOptions(workers=2, float32=True, report_every=20)
    whole = fresh_eyes(seeing_shape)
    with caplog.at_level("INFO"):
        warm_up(whole, PLAN, options, tmp_path / "whole")
    losses = [float(record.args[2]) for record in caplog.records]
    assert losses[-1] < 0.8 * losses[0]
    eyes = fresh_eyes(seeing_shape)
    warm_up(eyes, PLAN, options, tmp_path / "parts", stop_after=20)
    eyes = fresh_eyes(seeing_shape)
    warm_up(eyes, replace(PLAN), options, tmp_path / "parts")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, eyes.state_dict()[name]), name
