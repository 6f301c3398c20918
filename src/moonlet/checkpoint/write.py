"""Write a checkpoint in the published layout: shards, index and config.json, tensor by tensor, in bounded memory."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from moonlet.checkpoint.header import DTYPES, read_header
from moonlet.checkpoint.index import INDEX_NAME
from moonlet.checkpoint.layout import TensorSpec, expected_layout
from moonlet.config import ModelConfig, published_config
from moonlet.config.json_file import JsonObject
from moonlet.errors import CheckpointError, ShapeError

TensorSource = Callable[[str, TensorSpec], Tensor]
"""Called once for each tensor of the layout; must return exactly that shape and type."""
Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


def spec_bytes(spec: TensorSpec) -> int:
    """Bytes of the tensor a spec describes."""
    return math.prod(spec.shape) * DTYPES[spec.dtype].itemsize


def checkpoint_bytes(config: ModelConfig) -> int:
    """Bytes of all tensors of a checkpoint of this config."""
    return sum(spec_bytes(spec) for spec in expected_layout(config).values())


def write_checkpoint(
    directory: Path,
    config: ModelConfig,
    source: TensorSource,
    *,
    shard_bytes: int = 256 << 20,
    metadata: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write weights, index and config.json into `directory`, which is made if need be.

    A shard is written beside its place and renamed when it is whole, so a run that was stopped leaves no half shard;
    shards already there with the same tensors and `metadata` are kept. The index comes last: until then the
    directory is refused as a checkpoint. One tensor is in memory at a time.
    Raises CheckpointError if the directory holds something else or the disk has no room, ShapeError if `source` gives
    a tensor that is not what the layout says.
    """
    layout = expected_layout(config)
    shards = _plan(layout, shard_bytes)
    total = sum(spec_bytes(spec) for spec in layout.values())
    marks = {"format": "pt", **(metadata or {})}
    _prepare(directory, config)
    present = {file for file, names in shards.items() if _is_written(directory / file, names, layout, marks)}
    missing = sum(spec_bytes(layout[name]) for file, names in shards.items() if file not in present for name in names)
    free = shutil.disk_usage(directory).free
    if missing > free:
        raise CheckpointError(
            f"{directory}: {missing / 1e9:.1f} GB to write, {free / 1e9:.1f} GB free; choose another disk"
        )
    done = 0
    for file, names in shards.items():
        if file not in present:
            _write_shard(directory / file, names, layout, source, marks)
        done += sum(spec_bytes(layout[name]) for name in names)
        if progress is not None:
            progress(done, total)
    weight_map = {name: file for file, names in shards.items() for name in names}
    _write_json(directory / INDEX_NAME, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _plan(layout: Mapping[str, TensorSpec], shard_bytes: int) -> dict[str, list[str]]:
    """Cut the layout, in its order, into files of about `shard_bytes`, named as published."""
    groups: list[list[str]] = [[]]
    size = 0
    for name, spec in layout.items():
        if groups[-1] and size + spec_bytes(spec) > shard_bytes:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += spec_bytes(spec)
    return {f"model-{i + 1:05d}-of-{len(groups):06d}.safetensors": names for i, names in enumerate(groups)}


def _prepare(directory: Path, config: ModelConfig) -> None:
    """Make the directory and its config.json, or find both as an earlier run of the same config left them."""
    wanted = json.dumps(published_config(config), indent=2, sort_keys=True) + "\n"
    path = directory / "config.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if path.read_text(encoding="utf-8") != wanted:
                raise CheckpointError(f"{directory}: holds another model, expected an empty directory or this model's")
        elif any(directory.iterdir()):
            raise CheckpointError(f"{directory}: not empty and no model in it, expected an empty or new directory")
        path.write_text(wanted, encoding="utf-8")
    except OSError as cause:
        raise CheckpointError(f"{directory}: cannot be written ({cause.strerror or cause})") from None


def _is_written(path: Path, names: list[str], layout: Mapping[str, TensorSpec], marks: Mapping[str, str]) -> bool:
    if not path.exists():
        return False
    from safetensors import safe_open

    try:
        entries = read_header(path)
    except CheckpointError:
        return False
    with safe_open(path, "pt") as file:
        if file.metadata() != dict(marks):
            return False
    found = {name: (entry.dtype, entry.shape) for name, entry in entries.items()}
    return found == {name: (layout[name].dtype, layout[name].shape) for name in names}


def _write_shard(
    path: Path, names: list[str], layout: Mapping[str, TensorSpec], source: TensorSource, marks: Mapping[str, str]
) -> None:
    """Stream one file. The library would hold it whole, and write its metadata in an order that differs each time."""
    # Widest types first, so that every tensor starts at a multiple of its element size.
    ordered = sorted(names, key=lambda name: -DTYPES[layout[name].dtype].itemsize)
    header: JsonObject = {"__metadata__": dict(marks)}
    end = 0
    for name in ordered:
        spec = layout[name]
        start, end = end, end + spec_bytes(spec)
        header[name] = {"dtype": spec.dtype, "shape": spec.shape, "data_offsets": (start, end)}
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for name in ordered:
            file.write(_raw_bytes(name, layout[name], source(name, layout[name])))
    partial.replace(path)


def _raw_bytes(name: str, spec: TensorSpec, tensor: Tensor) -> memoryview:
    if tensor.shape != spec.shape or tensor.dtype != DTYPES[spec.dtype]:
        raise ShapeError(
            f"{name}: {tensor.dtype} {list(tensor.shape)} to write, expected {spec.dtype} {list(spec.shape)}"
        )
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _write_json(path: Path, value: object) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)
