"""The tower's warm-up: each token's feature must say what there is to see in it, asked directly rather than by a reply.

End to end, a tower this small sees nothing for long: the decoder ignores features that say nothing, and no gradient
tells the tower which of them to make speak. Linear heads over the features, thrown away afterwards, break that circle
at a tenth of the cost, since the decoder takes no part.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moonlet.train.optimiser import Optimiser
from moonlet.train.options import TrainOptions
from moonlet.train.pictures import CHUNK_FRAMES, HEADS, Picture, num_tokens
from moonlet.train.sight import PlacedChunk, Sight, gather
from moonlet.train.state import TrainingState, load_state, save_state
from moonlet.train.tasks import VISUAL_TASKS, Split, draw
from moonlet.train.threads import single_threaded_operations
from moonlet.train.tower import Eyes

logger = logging.getLogger(__name__)

LARGEST_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Steps of so many pictures each, at a learning rate that rises over the first tenth and then falls to zero."""

    steps: int
    pictures: int
    learning_rate: float
    weights: dict[str, float]

    def learning_rate_at(self, step: int) -> float:
        return self.learning_rate * min(10 * (step + 1) / self.steps, (self.steps - step) / (0.9 * self.steps))


@dataclass(frozen=True, slots=True)
class Quiz:
    """What is shown, and for each head the features asked, as indices into `sight`'s tokens, with the answers."""

    sight: Sight
    questions: dict[str, tuple[Tensor, Tensor]]


def quiz(pictures: list[Picture]) -> Quiz:
    """Draw pictures and ask about every token whose truth they tell."""
    chunks = []
    for row, picture in enumerate(pictures):
        frames = picture.draw()
        for number, first in enumerate(range(0, len(frames), CHUNK_FRAMES)):
            chunks.append(PlacedChunk(row, number * num_tokens(frames), frames[first : first + CHUNK_FRAMES]))
    sight = gather(chunks)
    places = zip(sight.rows.tolist(), sight.positions.tolist(), strict=True)
    index_of = {place: index for index, place in enumerate(places)}
    asked: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, picture in enumerate(pictures):
        for label in picture.labels():
            asked[label.head].append((index_of[row, label.token], label.answer))
    questions = {}
    for head, pairs in asked.items():
        tokens, answers = torch.tensor(pairs).unbind(1)
        questions[head] = (tokens, answers)
    return Quiz(sight, questions)


class Asked(nn.Module):
    """The eyes with a linear head for each question."""

    def __init__(self, eyes: Eyes, generator: torch.Generator) -> None:
        super().__init__()
        self.eyes = eyes
        width = eyes.shape.text_hidden_size
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in HEADS.items()})
        with torch.no_grad():
            for parameter in self.heads.parameters():
                parameter.normal_(0.0, width**-0.5, generator=generator)

    def forward(self, asked: Quiz) -> dict[str, Tensor]:
        """Logits of every question asked, by head."""
        features = self.eyes(asked.sight.patches, asked.sight.groups)
        features = F.rms_norm(features.float(), features.shape[-1:])  # the size of a feature is not to be an answer
        return {head: self.heads[head](features[tokens]) for head, (tokens, _) in asked.questions.items()}


def warm_up(eyes: Eyes, plan: WarmUp, options: TrainOptions, folder: Path, stop_after: int | None = None) -> None:
    """Train the eyes in place, going on from the state in `folder`; the batches are a function of the seed and step.

    stop_after: steps after which to stop, the state saved; the whole plan if not given.
    """
    with single_threaded_operations(), ThreadPoolExecutor(options.workers) as pool:
        _warm_up(eyes, plan, options, folder, pool, plan.steps if stop_after is None else min(plan.steps, stop_after))


def _warm_up(
    eyes: Eyes, plan: WarmUp, options: TrainOptions, folder: Path, pool: ThreadPoolExecutor, last: int
) -> None:
    asked = Asked(eyes, torch.Generator().manual_seed(options.seed))
    optimiser = Optimiser(asked)
    step = 0
    state = None if options.fresh else load_state(folder)
    if state is not None:
        asked.load_state_dict(state.model)
        optimiser.load_state_dict(state.optimiser)
        step = state.step
    saved = marked = time.monotonic()

    def save() -> None:
        save_state(folder, TrainingState(step, options.seed, asked.state_dict(), optimiser.state_dict()))

    while step < last:
        parts = [(asked, plan, options, step, worker) for worker in range(options.workers)]
        results = list(pool.map(_gradients, *zip(*parts, strict=True)))
        for index, parameter in enumerate(asked.parameters()):
            parameter.grad = torch.stack([gradients[index] for _, gradients, _ in results]).mean(dim=0)
        torch.nn.utils.clip_grad_norm_(asked.parameters(), LARGEST_GRADIENT_NORM)
        optimiser.step(plan.learning_rate_at(step), muon=True)
        step += 1
        now = time.monotonic()
        if step % options.report_every == 0:
            shares = "  ".join(f"{head} {share:.2f}" for head, share in sorted(results[0][2].items()))
            rate = options.report_every * plan.pictures / (now - marked)
            logger.info("warm-up %d/%d  loss %.3f  %.0f pictures/s  %s", step, plan.steps, results[0][0], rate, shares)
            marked = now
        if now - saved > options.save_every:
            save()
            saved = now
    save()


def _gradients(
    asked: Asked, plan: WarmUp, options: TrainOptions, step: int, worker: int
) -> tuple[float, tuple[Tensor, ...], dict[str, float]]:
    """One worker's part of a step: loss, gradients, and the share of right answers by head."""
    rng = Random(f"warm-up/{options.seed}/{step}/{worker}")
    weights = [plan.weights.get(task.name, 1.0) for task in VISUAL_TASKS]
    pictures: list[Picture] = []
    while len(pictures) < plan.pictures // options.workers:
        pictures += draw(rng.choices(VISUAL_TASKS, weights)[0], rng, Split.TRAIN).media
    asked_of = quiz(pictures)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not options.float32):
        logits = asked(asked_of)
    losses = [F.cross_entropy(logits[head].float(), answers) for head, (_, answers) in asked_of.questions.items()]
    loss = torch.stack(losses).sum() / len(HEADS)
    gradients = torch.autograd.grad(loss, list(asked.parameters()), materialize_grads=True)
    right = {
        head: float((logits[head].argmax(dim=-1) == answers).float().mean())
        for head, (_, answers) in asked_of.questions.items()
    }
    return loss.item(), gradients, right
