"""`moonlet convert`: a published checkpoint to GGUF, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from moonlet.chat.template import template_source
from moonlet.chat.tokenizer_files import read_tokenizer_files
from moonlet.checkpoint import open_checkpoint
from moonlet.checkpoint.gguf import GgufTokenizer, open_gguf
from moonlet.checkpoint.hub import resolve_model
from moonlet.errors import OptionError
from moonlet.formats.gguf import block_type
from moonlet.formats.gguf.quantize import writable_types
from moonlet.quant import GgufChoice, convert_to_gguf, convert_to_safetensors
from moonlet.quant.source_files import read_source_files

SAFETENSORS = "safetensors"


@click.command(
    "convert",
    epilog="Examples: moonlet convert /data/k2.5 /data/k2.5-q4_0.gguf --to q4_0   "
    "moonlet convert k2.5-q4_0.gguf /data/back --to safetensors",
)
@click.argument("source")
@click.argument("destination", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Choice([SAFETENSORS, *(name.lower() for name in writable_types())], case_sensitive=False),
    help="Form of the result; for GGUF the type of the routed experts.",
)
@click.option(
    "--non-experts",
    type=click.Choice(["bf16", "q8_0", "f16", "f32"]),
    default="bf16",
    show_default=True,
    help="GGUF type of attention, shared experts, dense layers, embeddings and head.",
)
@click.option(
    "--vision",
    type=click.Choice(["bf16", "q8_0", "f16", "f32"]),
    default="bf16",
    show_default=True,
    help="GGUF type of the vision tower, which is written beside the model as mmproj-NAME.gguf.",
)
@click.option("--split-size", type=click.FloatRange(min=0.001), help="Largest GGUF file; one file if not given. [GB]")
def command(
    source: str, destination: Path, target: str, non_experts: str, vision: str, split_size: float | None
) -> None:
    """Convert the checkpoint SOURCE into DESTINATION.

    Published INT4 experts become q4_0 or q8_0 without loss, and q4_0 becomes INT4 again, byte for byte; other types
    are rounded. DESTINATION is a .gguf file, or a directory for --to safetensors. A run that was stopped goes on
    where it was when the command is run again.
    """
    if target.lower() == SAFETENSORS:
        gguf = open_gguf(source)
        with conversion_bar(gguf.num_bytes) as progress:
            convert_to_safetensors(gguf, destination, progress)
        click.echo(f"{source} is in {destination}")
        return
    if destination.suffix != ".gguf":
        raise OptionError(f"destination is {destination}, expected a name that ends in .gguf for --to {target}")
    if source.endswith(".gguf"):
        raise OptionError(f"source is {source}: GGUF to GGUF would round twice; convert it --to safetensors first")
    choice = GgufChoice(
        experts=block_type(target.upper()),
        others=block_type(non_experts.upper()),
        max_file_bytes=None if split_size is None else round(split_size * 1e9),
        vision=block_type(vision.upper()),
    )
    for path in write_as_gguf(resolve_model(source), destination, choice):
        click.echo(f"{path}  {path.stat().st_size / 1e9:.3f} GB")


def write_as_gguf(directory: Path, destination: Path, choice: GgufChoice) -> tuple[Path, ...]:
    """The published checkpoint in `directory` as GGUF at `destination`, behind a progress bar; returns the files."""
    checkpoint = open_checkpoint(directory)
    files = read_tokenizer_files(directory)
    tokenizer = GgufTokenizer(
        files.ranks,
        files.special_ids,
        files.bos_token,
        files.eos_token,
        files.pad_token,
        files.unk_token,
        template_source(directory)[0],
    )
    with conversion_bar(checkpoint.num_bytes) as progress:
        return convert_to_gguf(checkpoint, tokenizer, read_source_files(directory), destination, choice, progress)


@contextmanager
def conversion_bar(total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error while the `with` lasts; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("converting"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("converting", total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)
