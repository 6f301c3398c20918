"""`moonlet pull`: fetch a model from the hub."""

from __future__ import annotations

from pathlib import Path

import click

from moonlet.checkpoint.hub import pull


@click.command("pull", epilog="Example: moonlet pull moonshotai/Kimi-K2.5 --to /data/k2.5")
@click.argument("hub_id")
@click.option(
    "--to", type=click.Path(path_type=Path), help="Directory for the files; the hub's shared cache if not given."
)
@click.option("--revision", help="Branch, tag or commit; the newest if not given.")
def command(hub_id: str, to: Path | None, revision: str | None) -> None:
    """Fetch the weights, facts and vocabulary of HUB_ID, such as moonshotai/Kimi-K2.5 (595 GB).

    Free disk space is checked first. A fetch that was stopped goes on where it ended when the command is run again.
    """
    directory = pull(hub_id, to, revision)
    click.echo(f"{hub_id} is in {directory}")
    click.echo(f"next: moonlet inspect {directory if to else hub_id}")
