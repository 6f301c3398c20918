"""Batches: a function of seed and step, packed without mixing conversations."""

from __future__ import annotations

import itertools

import pytest
import torch

from moonlet.train.conversation import Example
from moonlet.train.mixture import NO_DOCUMENT, Stage, batch_at, pack, share_too_long, stage_at
from moonlet.train.options import TrainOptions
from moonlet.train.recipe import CONTINUE, NANO, SEE, Recipe
from moonlet.train.tasks import TASKS, Task
from moonlet.train.vocabulary import Vocabulary


def example(size: int, start: int = 0) -> Example:
    return Example(tuple(range(start, start + size)), (False,) + (True,) * (size - 1))


def test_conversations_stay_whole_and_apart() -> None:
    batch = pack([example(5, 100), example(3, 200), example(4, 300)], row_tokens=8, pad_id=9)
    assert batch.ids.tolist() == [[100, 101, 102, 103, 104, 200, 201, 202], [300, 301, 302, 303, 9, 9, 9, 9]]
    assert batch.document.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0] + [NO_DOCUMENT] * 4]
    mask = batch.mask[0, 0]
    assert not mask[5, :5].any()
    assert mask[7, 5:8].all()
    assert not mask[5, 6]


def test_a_token_is_learnt_at_the_position_before_it() -> None:
    batch = pack([example(4, 10)], row_tokens=6, pad_id=0)
    assert batch.learns.tolist() == [[True, True, True, False, False, False]]


def test_the_same_step_gives_the_same_batch_and_another_step_another(
    vocabulary: Vocabulary, stages: tuple[Stage, ...]
) -> None:
    first, again, other = (batch_at(vocabulary, stages, step, 1, 4, 128) for step in (3, 3, 4))
    assert torch.equal(first.ids, again.ids)
    assert torch.equal(first.learns, again.learns)
    assert not torch.equal(first.ids, other.ids)


def test_parts_of_a_batch_hold_all_its_rows(vocabulary: Vocabulary, stages: tuple[Stage, ...]) -> None:
    batch = batch_at(vocabulary, stages, 0, 1, 4, 128)
    parts = batch.split(3)
    assert sum(part.ids.shape[0] for part in parts) == batch.ids.shape[0]
    assert sum(int(part.learns.sum()) for part in parts) == int(batch.learns.sum())


def test_stages_follow_each_other(stages: tuple[Stage, ...]) -> None:
    assert stage_at(stages, 0) == (stages[0], 0.0)
    assert stage_at(stages, 2) == (stages[1], 0.0)
    assert stage_at(stages, 22) == (stages[1], 0.5)
    with pytest.raises(IndexError):
        stage_at(stages, 42)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_hardly_a_conversation_is_too_long_for_a_row(vocabulary: Vocabulary, task: Task) -> None:
    assert share_too_long(vocabulary, NANO.stages[-1], TrainOptions().row_tokens, task) < 0.03
    assert share_too_long(vocabulary, NANO.stages[-1], 8, task) == 1.0


@pytest.mark.parametrize("recipe", [NANO, SEE, CONTINUE], ids=["nano", "see", "continue"])
def test_a_recipe_names_real_tasks_and_ends_in_int4_at_rest(recipe: Recipe) -> None:
    names = {task.name for task in TASKS}
    for before, after in itertools.pairwise(recipe.stages):
        assert after.lr_start <= 1.2 * before.lr_end  # no jolt
    for stage in recipe.stages:
        assert set(stage.weights) <= names
    assert recipe.stages[-1].lr_end == 0.0
    assert recipe.stages[-1].quantised
