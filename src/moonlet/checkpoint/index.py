"""Which file of a checkpoint holds which tensor: model.safetensors.index.json, or a single model.safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moonlet.config.json_file import one_line, read_json_object
from moonlet.errors import CheckpointError

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
MAX_INDEX_BYTES = 256 << 20
"""K2.5's index is about 25 MB."""


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """files: names of the shards, sorted, each known to exist.  weight_map: tensor to file; None for a single file."""

    files: tuple[str, ...]
    weight_map: dict[str, str] | None


def has_weights(directory: Path) -> bool:
    """Whether the directory holds weights in a form `read_index` understands."""
    return (directory / INDEX_NAME).exists() or (directory / SINGLE_NAME).exists()


def read_index(directory: Path) -> ShardIndex:
    """Find the shards of the checkpoint in `directory`.

    Raises CheckpointError in one line: no weights (other formats are named), an unreadable index, a file name that
    points elsewhere, a file the index names that is not there.
    """
    path = directory / INDEX_NAME
    if not path.exists():
        if (directory / SINGLE_NAME).exists():
            return ShardIndex((SINGLE_NAME,), None)
        raise CheckpointError(_no_weights(directory))
    weight_map = read_json_object(path, MAX_INDEX_BYTES, CheckpointError).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{INDEX_NAME}: no weight_map in it; fetch the file again")
    # One tensor a file is enough to name in an error, and K2.5 has 64 files for 208,550 tensors.
    named = {str(name): (tensor, name) for tensor, name in weight_map.items()}
    files = tuple(sorted(_plain_name(tensor, name) for tensor, name in named.values()))
    for name in files:
        if not (directory / name).is_file():
            tensors = sum(value == name for value in weight_map.values())
            raise CheckpointError(
                f"{INDEX_NAME}: names {name} ({tensors:,} tensors), which is not in {directory}; fetch the missing file"
            )
    return ShardIndex(files, weight_map)


def _plain_name(tensor: str, name: Any) -> str:
    """A file name that can only mean a file of this directory."""
    if (
        not isinstance(name, str)
        or not name.endswith(".safetensors")
        or not name.isprintable()
        or Path(name).name != name
        or "\\" in name
    ):
        raise CheckpointError(
            f"{INDEX_NAME}: {one_line(tensor)} is said to be in {one_line(repr(name), 80)}, "
            "expected the plain name of a .safetensors file beside the index"
        )
    return name


def _no_weights(directory: Path) -> str:
    wanted = f"expected {INDEX_NAME} or {SINGLE_NAME}"
    for pattern, kind in (
        ("*.safetensors", "safetensors files without their index"),
        ("*.gguf", "GGUF files, which are given by their own name, such as --model FILE.gguf"),
        ("*.bin", "PyTorch .bin files, which are not supported"),
    ):
        if next(directory.glob(pattern), None) is not None:
            return f"{directory}: only {kind}, {wanted}"
    return f"{directory}: no weights in it, {wanted}"
