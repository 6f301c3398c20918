"""`moonlet train nano`: train, export, and write the card."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from moonlet.train.card import write_card
from moonlet.train.export import export_checkpoint, import_checkpoint
from moonlet.train.grow import double_experts
from moonlet.train.layout import EYES
from moonlet.train.mixture import share_too_long
from moonlet.train.network import NanoModel
from moonlet.train.options import TrainOptions
from moonlet.train.recipe import CONTINUE, NANO, SEE, USE_TOOLS, Recipe
from moonlet.train.shape import NanoShape
from moonlet.train.state import load_state
from moonlet.train.tasks import BLIND_TASKS, TASKS
from moonlet.train.tower import Eyes, TowerShape
from moonlet.train.trainer import Trainer
from moonlet.train.vocabulary import nano_vocabulary
from moonlet.train.warmup import WarmUp, warm_up

logger = logging.getLogger(__name__)

CHECKPOINT_FOLDER = "checkpoint"
EYES_FOLDER = "eyes"  # the state of their warm-up


def train_nano(
    output_dir: Path,
    options: TrainOptions | None = None,
    *,
    init_from: Path | None = None,
    recipe: Recipe | None = None,
) -> Path:
    """Train K25-nano and export it, going on where a stopped run in `output_dir` left off.

    The export happens whenever this returns, so a run cut short by `steps` or `hours` gives a checkpoint too; both
    count the training of the whole model, before which the eyes' warm-up takes some minutes.
    init_from: a K25-nano checkpoint whose weights a new run starts from; a resumed run has its own.
    recipe: if not given, the next of those that made the shipped checkpoint: text from random weights, then sight,
        then tools; after that, going on with all of it.
    Returns the checkpoint's directory, `output_dir/checkpoint`.
    Raises OptionError, CheckpointError, ConfigError.
    """
    options = options or TrainOptions()
    output_dir.mkdir(parents=True, exist_ok=True)
    vocabulary = nano_vocabulary()
    weights, shape = (None, NanoShape()) if init_from is None else import_checkpoint(init_from)
    if recipe is None:
        recipe = _next_recipe(None if init_from is None else shape)
    if recipe.eyes is not None and shape.vision is None:
        if weights is None:
            weights = NanoModel(shape, torch.Generator().manual_seed(options.seed)).state_dict()
        shape = replace(shape, vision=TowerShape())
        if options.fresh or load_state(output_dir) is None:
            weights |= _opened_eyes(recipe.eyes, TowerShape(), options, output_dir / EYES_FOLDER)
        else:
            weights = None  # the stopped run has all of its own
    if recipe.doubles_experts:
        weights = None if weights is None else double_experts(weights, shape, options.seed)
        shape = replace(shape, n_routed_experts=2 * shape.n_routed_experts)
    trainer = Trainer.start(vocabulary, recipe.stages, shape, options, output_dir, weights)
    for task in BLIND_TASKS if shape.vision is None else TASKS:
        if share := share_too_long(vocabulary, recipe.stages[-1], options.row_tokens, task):
            logger.info("%s: %.1f%% do not fit a row and are left out", task.name, 100 * share)
    trainer.run()
    folder = output_dir / CHECKPOINT_FOLDER
    export_checkpoint(trainer.model.state_dict(), shape, vocabulary, folder)
    write_card(folder, shape, options, recipe.stages, trainer.step, init_from)
    logger.info("exported step %d to %s", trainer.step, folder)
    return folder


def _next_recipe(shape: NanoShape | None) -> Recipe:
    """What a checkpoint of this shape has to learn next; None for no checkpoint."""
    if shape is None:
        return NANO
    if shape.vision is None:
        return SEE
    return USE_TOOLS if shape.n_routed_experts == NanoShape().n_routed_experts else CONTINUE


def _opened_eyes(plan: WarmUp, shape: TowerShape, options: TrainOptions, folder: Path) -> dict[str, Tensor]:
    """The weights of warmed-up eyes, under a `NanoModel`'s names."""
    eyes = Eyes(shape, torch.Generator().manual_seed(options.seed))
    warm_up(eyes, plan, options, folder)
    return {EYES + name: tensor for name, tensor in eyes.state_dict().items()}
