"""From a recipe's stage to batches: which step trains on what, as a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

import torch
from torch import Tensor

from moonlet.train.conversation import Example, draw_conversation, render
from moonlet.train.sight import PlacedChunk, Sight, gather
from moonlet.train.tasks import TASKS, Split, Task
from moonlet.train.vocabulary import Vocabulary

NO_DOCUMENT = -1


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of training with one setting.

    The learning rate goes in a straight line from `lr_start` to `lr_end`. level: problem sizes, 0 short to 1 full.
    weights: task name to relative share; a task not named has share 1. quantised: INT4-aware experts.
    muon: the matrices of attention and of the dense and shared MLPs are stepped by Muon; AdamW steps the rest, or all.
    """

    name: str
    steps: int
    lr_start: float
    lr_end: float
    level: float
    quantised: bool
    history_share: float = 0.1
    balance_rate: float = 0.002
    muon: bool = True
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Packed rows of whole conversations.

    ids, document: [rows, row_tokens] int64; document numbers the conversation a token belongs to, -1 for padding.
    learns: [rows, row_tokens] bool, true where the *next* token is to be predicted.
    chunks: the images and video chunks of all rows.
    """

    ids: Tensor
    document: Tensor
    learns: Tensor
    chunks: tuple[PlacedChunk, ...] = ()

    @property
    def mask(self) -> Tensor:
        """[rows, 1, T, T] bool: causal, and only within a conversation."""
        length = self.ids.shape[1]
        same = self.document.unsqueeze(2) == self.document.unsqueeze(1)
        causal = torch.ones(length, length, dtype=torch.bool, device=self.ids.device).tril()
        return (same & causal).unsqueeze(1)

    @property
    def sight(self) -> Sight | None:
        """All chunks laid out for the tower; None where there are none."""
        return gather(self.chunks).to(self.ids.device) if self.chunks else None

    def to(self, device: torch.device) -> Batch:
        return Batch(self.ids.to(device), self.document.to(device), self.learns.to(device), self.chunks)

    def split(self, parts: int) -> list[Batch]:
        """Up to `parts` batches of alternate rows: rows come longest conversation first, so each gets its share."""
        return [self._part(at, parts) for at in range(min(parts, self.ids.shape[0]))]

    def _part(self, at: int, parts: int) -> Batch:
        chunks = tuple(replace(chunk, row=chunk.row // parts) for chunk in self.chunks if chunk.row % parts == at)
        return Batch(self.ids[at::parts], self.document[at::parts], self.learns[at::parts], chunks)


def stage_at(stages: Sequence[Stage], step: int) -> tuple[Stage, float]:
    """The stage that `step` (from 0) lies in, and how far through it: 0 at its start, towards 1 at its end."""
    for stage in stages:
        if step < stage.steps:
            return stage, step / stage.steps
        step -= stage.steps
    raise IndexError("the recipe has no stage for this step")


def pack(examples: Sequence[Example], row_tokens: int, pad_id: int) -> Batch:
    """Lay examples into rows, longest first, each whole in the first row with room."""
    rows: list[list[Example]] = []
    room: list[int] = []
    for example in sorted(examples, key=lambda e: -len(e.ids)):
        size = len(example.ids)
        row = next((index for index, free in enumerate(room) if free >= size), None)
        if row is None:
            rows.append([])
            room.append(row_tokens)
            row = len(rows) - 1
        rows[row].append(example)
        room[row] -= size
    ids = torch.full((len(rows), row_tokens), pad_id)
    document = torch.full((len(rows), row_tokens), NO_DOCUMENT)
    learns = torch.zeros(len(rows), row_tokens, dtype=torch.bool)
    chunks = []
    for row, packed in enumerate(rows):
        at = 0
        for number, example in enumerate(packed):
            end = at + len(example.ids)
            ids[row, at:end] = torch.tensor(example.ids)
            document[row, at:end] = number
            learns[row, at : end - 1] = torch.tensor(example.learns[1:])
            chunks += [PlacedChunk(row, at + chunk.at, chunk.frames) for chunk in example.chunks]
            at = end
    return Batch(ids, document, learns, tuple(chunks))


def batch_at(
    vocabulary: Vocabulary, stages: Sequence[Stage], step: int, seed: int, rows: int, row_tokens: int
) -> Batch:
    """The batch of one step: the same for the same arguments, so a resumed run sees what it would have seen."""
    stage, _ = stage_at(stages, step)
    rng = Random(f"{seed}/{step}")
    weights = tuple(stage.weights.get(task.name, 1.0) for task in TASKS)
    budget = rows * row_tokens * 31 // 32  # the rest is lost to row ends
    examples: list[Example] = []
    used = 0
    while True:
        example = draw_example(vocabulary, rng, TASKS, weights, stage, row_tokens)
        if used + len(example.ids) > budget:
            return pack(examples, row_tokens, vocabulary.special("[PAD]"))
        used += len(example.ids)
        examples.append(example)


def draw_example(
    vocabulary: Vocabulary,
    rng: Random,
    tasks: tuple[Task, ...],
    weights: tuple[float, ...],
    stage: Stage,
    row_tokens: int,
) -> Example:
    """One training conversation that fits a row; `share_too_long` tells how many did not."""
    while True:
        conversation = draw_conversation(rng, tasks, weights, Split.TRAIN, stage.level, stage.history_share)
        example = render(vocabulary, conversation)
        if len(example.ids) <= row_tokens:
            return example


def share_too_long(vocabulary: Vocabulary, stage: Stage, row_tokens: int, task: Task, draws: int = 200) -> float:
    """The share of a task's training conversations that no row of this size can hold, estimated from `draws`.

    They are missing from training, so a task whose share is not small is taught without its long problems.
    """
    rng = Random(f"too long/{task.name}")
    drawn = (draw_conversation(rng, (task,), (1.0,), Split.TRAIN, stage.level, 0.0) for _ in range(draws))
    return sum(len(render(vocabulary, conversation).ids) > row_tokens for conversation in drawn) / draws
