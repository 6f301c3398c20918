"""Writing safetensors files in bounded memory. The safetensors library's own writer wants every tensor at once."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from moonlet.checkpoint.header import DTYPES
from moonlet.checkpoint.index import INDEX_NAME, SINGLE_NAME
from moonlet.errors import CheckpointError

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""

_ALIGNMENT = 8
"""The header is padded so that tensors of any type begin aligned, as the library does."""


@dataclass(frozen=True, slots=True)
class TensorSource:
    """A tensor to be written. dtype: as safetensors spells it.  pieces: gives its bytes in order when its turn comes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterable[bytes | memoryview]]

    @property
    def num_bytes(self) -> int:
        """Bytes of the tensor."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


def write_safetensors(
    path: Path, tensors: Sequence[TensorSource], on_bytes: Callable[[int], None] | None = None
) -> None:
    """Write one file; it gets its name when the last byte is on disk. on_bytes: called with the bytes just written.

    Raises CheckpointError if it cannot be written or a tensor gives another number of bytes than its shape.
    """
    # The library lays tensors out by falling alignment, so none begins unaligned; equal keys keep their order.
    ordered = sorted(tensors, key=lambda tensor: -DTYPES[tensor.dtype].itemsize)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(_header(ordered))
            for tensor in ordered:
                written = 0
                for piece in tensor.pieces():
                    file.write(piece)
                    written += len(piece)
                    if on_bytes is not None:
                        on_bytes(len(piece))
                if written != tensor.num_bytes:
                    raise CheckpointError(f"{tensor.name}: {written:,} bytes, expected {tensor.num_bytes:,}")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as cause:
        raise CheckpointError(f"{partial}: cannot be written ({cause.strerror or cause})") from None


def write_shards(
    directory: Path, tensors: Sequence[TensorSource], max_bytes: int, progress: Progress | None = None
) -> None:
    """Write model.safetensors, or shards of at most `max_bytes` each with their index. Raises as `write_safetensors`."""
    groups: list[list[TensorSource]] = [[]]
    size = 0
    for tensor in tensors:
        if groups[-1] and size + tensor.num_bytes > max_bytes:
            groups.append([])
            size = 0
        groups[-1].append(tensor)
        size += tensor.num_bytes
    total, done = sum(tensor.num_bytes for tensor in tensors), 0

    def count(num_bytes: int) -> None:
        nonlocal done
        done += num_bytes
        if progress is not None:
            progress(done, total)

    directory.mkdir(parents=True, exist_ok=True)
    if len(groups) == 1:
        write_safetensors(directory / SINGLE_NAME, groups[0], count)
        return
    weight_map: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        name = f"model-{number:05d}-of-{len(groups):06d}.safetensors"
        write_safetensors(directory / name, group, count)
        weight_map |= {tensor.name: name for tensor in group}
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (directory / INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _header(tensors: Sequence[TensorSource]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in tensors:
        end = offset + tensor.num_bytes
        entries[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(entries, separators=(",", ":")).encode("utf-8")
    raw = raw.ljust(-(-len(raw) // _ALIGNMENT) * _ALIGNMENT, b" ")
    return len(raw).to_bytes(8, "little") + raw
