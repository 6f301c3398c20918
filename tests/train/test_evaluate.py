"""Evaluation: a perfect answerer gets everything, a silent one nothing, and the card holds what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from moonlet.errors import CheckpointError
from moonlet.train.card import write_card, write_scores
from moonlet.train.conversation import Conversation
from moonlet.train.evaluate import evaluate, held_out
from moonlet.train.mixture import Stage
from moonlet.train.options import EvaluateOptions, TrainOptions
from moonlet.train.shape import NanoShape
from moonlet.train.tasks import TASKS, Split, split_of
from moonlet.train.tasks.sums import Sums

FEW = EvaluateOptions(problems=5, max_tokens=8)


class Perfect:
    def answers(self, conversations: Sequence[Conversation], max_tokens: int) -> list[str | None]:  # noqa: ARG002
        return [c.problem.answer if c.thinks else c.problem.instant for c in conversations]


class Silent:
    def answers(self, conversations: Sequence[Conversation], max_tokens: int) -> list[str | None]:  # noqa: ARG002
        return [None for _ in conversations]


def test_right_answers_score_all_and_no_answers_none() -> None:
    assert {score.accuracy for score in evaluate(Perfect(), FEW).scores} == {1.0}
    table = evaluate(Silent(), FEW)
    assert {score.accuracy for score in table.scores} == {0.0}
    assert table.score("sums", "instant").misses[0].reply is None


def test_it_measures_distinct_held_out_problems_and_the_same_ones_each_time() -> None:
    for task in TASKS:
        drawn = held_out(task, "thinking", True, FEW)
        assert drawn == held_out(task, "thinking", True, FEW)
        assert all(split_of(conversation.problem.key) is Split.HELD_OUT for conversation in drawn)
        assert len({(c.problem.key, c.problem.user, c.problem.system) for c in drawn}) == len(drawn)


def test_every_score_is_told_as_it_is_known() -> None:
    seen = []
    evaluate(Perfect(), FEW, tasks=(Sums(),), on_score=seen.append)
    assert [(score.task, score.mode) for score in seen] == [("sums", "thinking"), ("sums", "instant")]


def test_scores_land_in_the_card(shape: NanoShape, stages: tuple[Stage, ...], tmp_path: Path) -> None:
    write_card(tmp_path, shape, TrainOptions(), stages, step=42)
    for _ in range(2):  # a second measurement replaces the first
        write_scores(tmp_path, evaluate(Perfect(), FEW), FEW)
    text = (tmp_path / "README.md").read_text()
    assert "Not measured" not in text
    assert text.count("| sums | 100.0% | 100.0% |") == 1
    assert "42 steps" in text
    assert "$" not in text


def test_scores_without_a_card_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no place for scores"):
        write_scores(tmp_path, evaluate(Perfect(), FEW), FEW)
