"""Hold the headers of all shards against the index and the strict layout. The first disagreement is the error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from moonlet.checkpoint.index import INDEX_NAME, ShardIndex
from moonlet.checkpoint.layout import TensorSpec
from moonlet.checkpoint.shard import Shard
from moonlet.config.json_file import one_line
from moonlet.errors import CheckpointError

_READERS = 8
"""Threads for the scattered reads of `check_stored_shapes`: enough to keep an SSD's queue busy."""


def locate(shards: Sequence[Shard]) -> dict[str, Shard]:
    """The shard of each tensor. Raises CheckpointError for a tensor in two files."""
    found: dict[str, Shard] = {}
    for shard in shards:
        for name in shard.entries:
            other = found.setdefault(name, shard)
            if other is not shard:
                raise CheckpointError(
                    f"{one_line(name)}: in both {other.path.name} and {shard.path.name}, expected in one; "
                    "files of two checkpoints may be mixed"
                )
    return found


def check_index(index: ShardIndex, found: Mapping[str, Shard]) -> None:
    """Raise CheckpointError for a tensor that is not in the file the index names, or that the index does not name."""
    if index.weight_map is None:
        return
    for name, file in index.weight_map.items():
        shard = found.get(name)
        if shard is None:
            raise CheckpointError(f"{one_line(name)}: not in {file} as {INDEX_NAME} says; fetch {file} again")
        if shard.path.name != file:
            raise CheckpointError(
                f"{one_line(name)}: in {shard.path.name}, expected in {file} as {INDEX_NAME} says; "
                "the two files may have been swapped or the index be of another checkpoint"
            )
    for name, shard in found.items():
        if name not in index.weight_map:
            raise CheckpointError(
                f"{one_line(name)}: in {shard.path.name} but not in {INDEX_NAME}; "
                "the index may be of another checkpoint, fetch it again"
            )


def check_layout(expected: Mapping[str, TensorSpec], found: Mapping[str, Shard]) -> None:
    """Raise CheckpointError for the first tensor that is missing, of another type or shape, or not of this model."""
    missing = [name for name in expected if name not in found]
    if missing:
        others = f" (and {len(missing) - 1:,} others)" if len(missing) > 1 else ""
        raise CheckpointError(
            f"{missing[0]}: missing{others}, expected by config.json; the download may be incomplete, fetch it again"
        )
    for name, shard in found.items():
        spec, entry = expected.get(name), shard.entries[name]
        if spec is None:
            raise CheckpointError(
                f"{one_line(name)}: in {shard.path.name} but not part of the model that config.json describes; "
                "config.json may be of another checkpoint"
            )
        if entry.dtype != spec.dtype:
            raise CheckpointError(
                f"{name}: type {entry.dtype} in {shard.path.name}, expected {spec.dtype}; "
                "config.json may be of another checkpoint"
            )
        if entry.shape != spec.shape:
            raise CheckpointError(
                f"{name}: shape {list(entry.shape)} in {shard.path.name}, expected {list(spec.shape)}; "
                "config.json may be of another checkpoint"
            )


def check_stored_shapes(expected: Mapping[str, TensorSpec], shards: Sequence[Shard]) -> None:
    """Hold the contents of every `weight_shape` against the layout. Raises CheckpointError if one differs."""

    def check(shard: Shard) -> None:
        names = [name for name in shard.entries if expected[name].contents is not None]
        for name, values in shard.read_integers(names).items():
            if values != expected[name].contents:
                raise CheckpointError(
                    f"{name}: holds {list(values)}, expected {list(expected[name].contents or ())}; "
                    f"{shard.path.name} is damaged, fetch it again"
                )

    with ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(check, shards):
            pass
