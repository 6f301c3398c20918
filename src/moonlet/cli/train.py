"""`moonlet train`: make K25-nano, or measure it."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from moonlet.cli.options import options_of
from moonlet.log import configure_logging
from moonlet.train.options import EvaluateOptions, TrainOptions


@click.group("train")
def command() -> None:
    """Train K25-nano, the small model of the same architecture."""


@command.command("nano", epilog="Example: moonlet train nano --output-dir nano --hours 0.5")
@click.option("--output-dir", type=click.Path(path_type=Path, file_okay=False), help="Folder for the run; made if new.")
@click.option(
    "--init-from",
    type=click.Path(path_type=Path, file_okay=False),
    help="A K25-nano checkpoint to go on from, with all tasks in the mixture.",
)
@click.option("--evaluate", is_flag=True, help="Measure a checkpoint instead of training, and print the table.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, file_okay=False),
    help="What --evaluate measures; if not given, the one in --output-dir, or else the built-in K25-nano.",
)
@click.option("--update-card", is_flag=True, help="With --evaluate: write the scores into the checkpoint's README.md.")
@options_of(TrainOptions, "training")
@options_of(EvaluateOptions, "measuring")
def nano(
    output_dir: Path | None,
    init_from: Path | None,
    evaluate: bool,
    checkpoint: Path | None,
    update_card: bool,
    training: TrainOptions,
    measuring: EvaluateOptions,
) -> None:
    """Train K25-nano from scratch on synthetic tasks and export it; a few hours on two CPU cores.

    Run it again with the same --output-dir to go on after a stop.
    """
    if evaluate:
        _measure(checkpoint, output_dir, update_card, measuring)
        return
    if output_dir is None:
        raise click.UsageError("--output-dir is missing: name a folder for the run, or measure with --evaluate")
    if checkpoint is not None or update_card:
        raise click.UsageError("--checkpoint and --update-card belong to --evaluate")
    from moonlet.train.run import train_nano

    if logging.getLogger("moonlet").getEffectiveLevel() > logging.INFO:
        configure_logging("info")  # a run of hours says how it goes
    click.echo(f"exported to {train_nano(output_dir, training, init_from=init_from)}")


def _measure(checkpoint: Path | None, output_dir: Path | None, update_card: bool, options: EvaluateOptions) -> None:
    from moonlet.checkpoint.hub import resolve_model
    from moonlet.train.card import write_scores
    from moonlet.train.evaluate import evaluate_checkpoint
    from moonlet.train.run import CHECKPOINT_FOLDER

    if checkpoint is None and output_dir is not None:
        checkpoint = output_dir / CHECKPOINT_FOLDER
    folder = resolve_model(checkpoint)
    table = evaluate_checkpoint(
        folder,
        options,
        on_score=lambda score: click.echo(f"{score.task} {score.mode}: {score.accuracy:.1%}", err=True),
    )
    click.echo(str(table))
    if update_card:
        write_scores(folder, table, options)
        click.echo(f"scores written to {folder / 'README.md'}")
