"""`moonlet inspect`: what a checkpoint is, what it costs, and whether it fits this machine."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from moonlet.checkpoint.checkpoint import Checkpoint
from moonlet.checkpoint.gguf import GgufCheckpoint
from moonlet.checkpoint.hub import resolve_model
from moonlet.cli.inspect_report import Report, make_report, open_if_present, open_vision
from moonlet.cli.inspect_view import show
from moonlet.cli.options import model_options
from moonlet.config import ModelOptions


@click.command("inspect", epilog="Examples: moonlet inspect /data/k2.5   moonlet inspect --json /data/k2.5")
@click.argument("path", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--check", is_flag=True, help="Also read every weight and look for NaN and infinity.")
@model_options
def command(path: str | None, as_json: bool, check: bool, options: ModelOptions) -> None:
    """Say what the checkpoint at PATH is, costs, and whether it fits this machine.

    PATH is a checkpoint's directory, a .gguf file or a hub id fetched with `moonlet pull`; without it, the embedded
    K25-nano. The form of every file is verified first. A directory with config.json alone is priced from its facts.
    The engine options change what the memory plan assumes.
    """
    directory = resolve_model(path)
    checkpoint = open_if_present(directory)
    vision = open_vision(directory, checkpoint, options)
    if check and checkpoint is None:
        raise click.UsageError(f"{directory} holds no weights, so there is nothing to --check")
    if check and checkpoint is not None:
        _check(checkpoint)
        if vision is not None:
            vision.check_values()
    report = make_report(directory, checkpoint, vision, options)
    if as_json:
        click.echo(json.dumps(_as_json(report, check), indent=2))
    else:
        show(report, check)


def _check(checkpoint: Checkpoint | GgufCheckpoint) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("checking"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("checking", total=checkpoint.num_bytes)
        checkpoint.check_values(lambda done, _: bar.update(task, completed=done))


def _as_json(report: Report, checked: bool) -> dict[str, Any]:
    # The whole list of patterns and unused keys belongs here, where programs read it.
    values = asdict(replace(report, directory=Path()))
    values["directory"] = str(report.directory)
    values["parameters"]["total"] = report.parameters.total
    values["weight_bytes"]["total"] = report.weight_bytes.total
    plan = report.machine.plan
    if plan is not None:
        values["machine"]["plan"] |= {"kv_bytes": plan.kv_bytes, "experts_fit": plan.experts_fit}
    values["values_checked"] = checked
    return values
