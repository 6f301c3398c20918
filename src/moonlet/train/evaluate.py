"""Accuracy on held-out problems, task by task and mode by mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from random import Random
from statistics import fmean

from moonlet.config import EngineOptions, load_model_config
from moonlet.engine import LLM
from moonlet.train.answer import Answerer, EngineAnswerer
from moonlet.train.conversation import Conversation
from moonlet.train.options import EvaluateOptions
from moonlet.train.scores import MODES, Miss, Score, ScoreTable
from moonlet.train.tasks import BLIND_TASKS, TASKS, Split, Task, draw
from moonlet.train.tasks.base import GradedTask


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


def measure(answerer: Answerer, task: Task, mode: str, thinks: bool, options: EvaluateOptions) -> Score:
    """The score of one task in one mode."""
    conversations = held_out(task, mode, thinks, options)
    replies = answerer.answers(conversations, options.max_tokens)
    misses = tuple(
        Miss(conversation, reply)
        for conversation, reply in zip(conversations, replies, strict=True)
        if reply is None or not task.is_correct(conversation.problem, reply)
    )
    if not isinstance(task, GradedTask):
        return Score(task.name, mode, len(conversations), misses)
    grades = [task.grade(c.problem, reply or "") for c, reply in zip(conversations, replies, strict=True)]
    return Score(task.name, mode, len(conversations), misses, fmean(grades), task.grade_name)


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
            scores.append(measure(answerer, task, mode, thinks, options))
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

    The tasks are shared out over `options.processes`, one kernel thread each: a model this small gains nothing from
    more, and the engine's replies do not depend on the number of threads.
    Raises what loading it raises: ConfigError, CheckpointError, OutOfMemoryError.
    """
    options = options or EvaluateOptions()
    engine = replace(engine or EngineOptions(), num_threads=1)
    config = load_model_config(path)  # a wrong path is said here, once, rather than by every process
    num_tasks = len(BLIND_TASKS if config.vision is None else TASKS)  # those without pictures come first
    work = [(path, options, engine, index, mode, thinks) for index in range(num_tasks) for mode, thinks in MODES]
    scores = []
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        for score in pool.map(_measure_one, work):
            scores.append(score)
            if on_score is not None:
                on_score(score)
    return ScoreTable(tuple(scores))


Work = tuple[Path, EvaluateOptions, EngineOptions, int, str, bool]


def _measure_one(work: Work) -> Score:
    path, options, engine, index, mode, thinks = work
    return measure(_loaded(path, engine, options.constrained), TASKS[index], mode, thinks, options)


@lru_cache(maxsize=1)  # a process loads the checkpoint once, for all its tasks
def _loaded(path: Path, engine: EngineOptions, constrained: bool) -> EngineAnswerer:
    return EngineAnswerer(LLM(path, engine), constrained=constrained)
