"""The training loop: one recipe, from any saved step to the end, on any torch device."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from moonlet.errors import OptionError
from moonlet.train.mixture import Batch, Stage, batch_at, stage_at
from moonlet.train.network import NanoModel
from moonlet.train.optimiser import Optimiser
from moonlet.train.options import TrainOptions
from moonlet.train.probe import exact_replies
from moonlet.train.shape import NanoShape
from moonlet.train.state import TrainingState, load_state, save_state
from moonlet.train.threads import single_threaded_operations
from moonlet.train.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

LARGEST_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one worker found on its part of a batch; gradients in the order of `model.parameters()`.

    None where nothing in the part reached the parameter: the eyes, where nothing was shown.
    """

    loss: float
    gradients: tuple[torch.Tensor | None, ...]


@dataclass(slots=True)
class Trainer:
    """A model on its way through a recipe; `step` counts the steps done.

    On a CPU the batch is split between threads that each do whole passes with single-threaded operations. They meet
    once a step; parallel operations would meet thousands of times and wait, each time, for whatever else the machine
    runs: measured beside one busy process, 15 s a step instead of 0.6 s.
    """

    model: NanoModel
    optimiser: Optimiser
    vocabulary: Vocabulary
    stages: Sequence[Stage]
    options: TrainOptions
    output_dir: Path
    pool: ThreadPoolExecutor
    step: int = 0

    @classmethod
    def start(
        cls,
        vocabulary: Vocabulary,
        stages: Sequence[Stage],
        shape: NanoShape,
        options: TrainOptions,
        output_dir: Path,
        weights: dict[str, torch.Tensor] | None = None,
    ) -> Trainer:
        """The stopped run whose state is in `output_dir`; where there is none, or with `options.fresh`, a new one.

        weights: what a new run starts from instead of random weights.
        Raises OptionError if the stopped run had another seed, since its batches would not be continued.
        """
        generator = torch.Generator().manual_seed(options.seed)
        model = NanoModel(shape, generator).to(options.device)
        if weights is not None:
            model.load_state_dict(weights)
        pool = ThreadPoolExecutor(options.workers)
        trainer = cls(model, Optimiser(model), vocabulary, stages, options, output_dir, pool)
        state = None if options.fresh else load_state(output_dir)
        if state is not None:
            if state.seed != options.seed:
                raise OptionError(
                    f"seed is {options.seed}, but the run in {output_dir} was started with {state.seed}; "
                    f"go on with --seed {state.seed}, or start anew with --fresh"
                )
            model.load_state_dict(state.model)
            trainer.optimiser.load_state_dict(state.optimiser)
            trainer.step = state.step
            logger.info("going on from step %d", state.step)
        return trainer

    @property
    def workers(self) -> int:
        return self.options.workers if self.options.device == "cpu" else 1

    @property
    def total_steps(self) -> int:
        whole = sum(stage.steps for stage in self.stages)
        return whole if self.options.steps is None else min(whole, self.options.steps)

    def batch(self, step: int) -> Batch:
        options = self.options
        return batch_at(self.vocabulary, self.stages, step, options.seed, options.rows, options.row_tokens)

    def train_step(self, batch: Batch) -> float:
        """One optimiser step on `batch`. Returns the mean loss in nats a learnt token."""
        stage, progress = stage_at(self.stages, self.step)
        self.model.train()
        self.model.set_quantised(stage.quantised)
        parts = batch.to(torch.device(self.options.device)).split(self.workers)
        learnt = sum(int(part.learns.sum()) for part in parts)
        if len(parts) == 1:
            results = [self.gradients(parts[0], learnt)]
        else:
            results = list(self.pool.map(self.gradients, parts, [learnt] * len(parts)))
        for index, parameter in enumerate(self.model.parameters()):
            found = [result.gradients[index] for result in results]
            reached = [gradient for gradient in found if gradient is not None]
            parameter.grad = sum(reached[1:], reached[0]) if reached else None
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT_NORM)
        self.optimiser.step(stage.lr_start + (stage.lr_end - stage.lr_start) * progress, muon=stage.muon)
        for layer in self.model.moe_layers:
            layer.balance(stage.balance_rate)
        self.step += 1
        return sum(result.loss for result in results)

    def gradients(self, batch: Batch, learnt: int) -> PartResult:
        """One part's share of the loss and gradient; `learnt` is the number of learnt tokens in the whole batch."""
        with torch.autocast(batch.ids.device.type, dtype=torch.bfloat16, enabled=not self.options.float32):
            hidden = self.model.hidden(batch.ids, batch.mask, sight=batch.sight)[:, :-1]
            logits = self.model.lm_head(hidden[batch.learns[:, :-1]])
        loss = F.cross_entropy(logits.float(), batch.ids[:, 1:][batch.learns[:, :-1]], reduction="sum") / learnt
        return PartResult(loss.item(), torch.autograd.grad(loss, list(self.model.parameters()), allow_unused=True))

    def save(self) -> None:
        state = TrainingState(self.step, self.options.seed, self.model.state_dict(), self.optimiser.state_dict())
        save_state(self.output_dir, state)

    def run(self) -> None:
        """Train to `total_steps` or until the hours are over, saving and reporting on the way."""
        on_cpu = self.options.device == "cpu"  # there the workers are the threads
        with single_threaded_operations() if on_cpu else nullcontext():
            self._run()

    def _run(self) -> None:
        options = self.options
        began = saved = time.monotonic()
        losses: list[float] = []
        mark, mark_step = began, self.step
        last = self.total_steps
        with ThreadPoolExecutor(max_workers=1) as ahead:  # the next batch is made while this one trains
            upcoming = ahead.submit(self.batch, self.step) if self.step < last else None
            while upcoming is not None:
                batch = upcoming.result()
                upcoming = ahead.submit(self.batch, self.step + 1) if self.step + 1 < last else None
                losses.append(self.train_step(batch))
                now = time.monotonic()
                if self.step % options.report_every == 0:
                    stage, _ = stage_at(self.stages, self.step - 1)
                    rate = (self.step - mark_step) * options.rows * options.row_tokens / (now - mark)
                    mean = sum(losses) / len(losses)
                    logger.info("step %d/%d  %s  loss %.4f  %.0f tokens/s", self.step, last, stage.name, mean, rate)
                    losses.clear()
                    mark, mark_step = now, self.step
                if options.check_every and self.step % options.check_every == 0:
                    self.report_check(num_problems=32)
                    mark = time.monotonic()
                if now - saved > options.save_every:
                    self.save()
                    saved = now
                if options.hours is not None and now - began > options.hours * 3600:
                    logger.info("time is over at step %d; run again to go on", self.step)
                    break
        self.save()

    def report_check(self, num_problems: int) -> None:
        """Log the share of held-out replies that come out exactly, task by task."""
        scores = exact_replies(self.model, self.vocabulary, num_problems, seed=self.step, bf16=not self.options.float32)
        line = "  ".join(f"{task}/{mode[0]} {score:.2f}" for (task, mode), score in scores.items())
        logger.info("exact held-out replies at step %d: %s", self.step, line)
        record = {"step": self.step, "exact": {f"{task}/{mode}": score for (task, mode), score in scores.items()}}
        with (self.output_dir / "checks.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
