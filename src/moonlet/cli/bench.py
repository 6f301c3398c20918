"""`moonlet bench`: make a checkpoint to measure, and measure."""

from __future__ import annotations

from pathlib import Path

import click

from moonlet.checkpoint.presets import PRESETS
from moonlet.checkpoint.random_weights import random_weights
from moonlet.checkpoint.write import checkpoint_bytes, write_checkpoint
from moonlet.cli.bench_run import command as run_command
from moonlet.cli.bench_vocabulary import write_vocabulary
from moonlet.cli.units import size_text


@click.group("bench")
def command() -> None:
    """Measure how fast models run on this machine, and make checkpoints to measure."""


command.add_command(run_command)


@command.command("make-checkpoint", epilog="Example: moonlet bench make-checkpoint --preset mid /tmp/mid")
@click.argument("out_dir", type=click.Path(path_type=Path))
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default="mid", show_default=True, help="Which shape to make."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed gives the same bytes."
)
def make_checkpoint(out_dir: Path, preset: str, seed: int) -> None:
    """Write a checkpoint of random weights in the published layout into OUT_DIR.

    The size is printed first and the disk checked. A run that was stopped goes on where it ended. The model answers
    nonsense at the speed of a real one: tiny is 7 MB, mid 5.6 GB (12 layers of 128 experts), k25-layer 11 GB (one
    dense and one expert layer of K2.5's real shape).
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    config = PRESETS[preset]()
    total = checkpoint_bytes(config)
    click.echo(f"{preset}: {config.text.num_hidden_layers} layers, {size_text(total)} into {out_dir}")
    columns = (TextColumn("writing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("writing", total=total)
        write_checkpoint(
            out_dir,
            config,
            random_weights(seed),
            metadata={"moonlet_random_seed": str(seed)},
            progress=lambda done, _: bar.update(task, completed=done),
        )
    write_vocabulary(out_dir, config.text.vocab_size)
    click.echo(f"done; try: moonlet inspect {out_dir}")
