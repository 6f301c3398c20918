"""Accuracy on held-out problems, task by task and mode by mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from moonlet.config import EngineOptions
from moonlet.engine import LLM
from moonlet.train.answer import Answerer, EngineAnswerer
from moonlet.train.conversation import Conversation
from moonlet.train.options import EvaluateOptions
from moonlet.train.scores import MODES, Miss, Score, ScoreTable
from moonlet.train.tasks import TASKS, Split, Task, draw


def held_out(task: Task, mode: str, thinks: bool, options: EvaluateOptions) -> list[Conversation]:
    """The problems that a task is measured on: distinct, never trained on, the same for the same options.

    Tasks with few distinct held-out problems (who are you?) give as many as they have.
    """
    rng = Random(f"held-out/{options.problem_seed}/{task.name}/{mode}")
    chosen: dict[tuple[str, str, str | None], Conversation] = {}
    for _ in range(20 * options.problems):
        problem = draw(task, rng, Split.HELD_OUT)
        chosen.setdefault((problem.key, problem.user, problem.system), Conversation(problem, thinks))
        if len(chosen) == options.problems:
            break
    return list(chosen.values())


def evaluate(
    answerer: Answerer,
    options: EvaluateOptions,
    tasks: Sequence[Task] = TASKS,
    on_score: Callable[[Score], None] | None = None,
) -> ScoreTable:
    """Measure `answerer` on every task in both modes. on_score: called with each score as it is known."""
    scores = []
    for task in tasks:
        for mode, thinks in MODES:
            conversations = held_out(task, mode, thinks, options)
            replies = answerer.answers(conversations, options.max_tokens)
            misses = tuple(
                Miss(conversation, reply)
                for conversation, reply in zip(conversations, replies, strict=True)
                if reply is None or not task.is_correct(conversation.problem, reply)
            )
            scores.append(Score(task.name, mode, len(conversations), misses))
            if on_score is not None:
                on_score(scores[-1])
    return ScoreTable(tuple(scores))


def evaluate_checkpoint(
    path: Path,
    options: EvaluateOptions | None = None,
    engine: EngineOptions | None = None,
    on_score: Callable[[Score], None] | None = None,
) -> ScoreTable:
    """Measure a checkpoint in the published format through the real engine, greedily.

    Raises what loading it raises: ConfigError, CheckpointError, OutOfMemoryError.
    """
    return evaluate(EngineAnswerer(LLM(path, engine)), options or EvaluateOptions(), on_score=on_score)
