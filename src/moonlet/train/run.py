"""`moonlet train nano`: train, export, and write the card."""

from __future__ import annotations

import logging
from pathlib import Path

from moonlet.train.card import write_card
from moonlet.train.export import export_checkpoint, import_checkpoint
from moonlet.train.mixture import Stage, share_too_long
from moonlet.train.options import TrainOptions
from moonlet.train.recipe import CONTINUE_STAGES, NANO_STAGES
from moonlet.train.shape import NanoShape
from moonlet.train.tasks import TASKS
from moonlet.train.trainer import Trainer
from moonlet.train.vocabulary import nano_vocabulary

logger = logging.getLogger(__name__)

CHECKPOINT_FOLDER = "checkpoint"


def train_nano(
    output_dir: Path,
    options: TrainOptions | None = None,
    *,
    init_from: Path | None = None,
    stages: tuple[Stage, ...] | None = None,
) -> Path:
    """Train K25-nano and export it, going on where a stopped run in `output_dir` left off.

    The export happens whenever this returns, so a run cut short by `steps` or `hours` gives a checkpoint too.
    init_from: a K25-nano checkpoint whose weights a new run starts from; a resumed run has its own.
    stages: the recipe; if not given, the shipped one, or from a checkpoint the one for going on.
    Returns the checkpoint's directory, `output_dir/checkpoint`.
    Raises OptionError, CheckpointError, ConfigError.
    """
    options = options or TrainOptions()
    if stages is None:
        stages = NANO_STAGES if init_from is None else CONTINUE_STAGES
    output_dir.mkdir(parents=True, exist_ok=True)
    vocabulary = nano_vocabulary()
    weights, shape = (None, NanoShape()) if init_from is None else import_checkpoint(init_from)
    trainer = Trainer.start(vocabulary, stages, shape, options, output_dir, weights)
    for task in TASKS:
        if share := share_too_long(vocabulary, stages[-1], options.row_tokens, task):
            logger.info("%s: %.1f%% do not fit a row and are left out", task.name, 100 * share)
    trainer.run()
    folder = output_dir / CHECKPOINT_FOLDER
    export_checkpoint(trainer.model.state_dict(), shape, vocabulary, folder)
    write_card(folder, shape, options, stages, trainer.step, init_from)
    logger.info("exported step %d to %s", trainer.step, folder)
    return folder
