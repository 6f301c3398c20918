"""Writing GGUF files: streamed, in bounded memory, in one file or many, taken up again after an interruption.

The sizes of all tensors follow from their shapes and types, so headers are complete before the first weight is made,
and a file half written can be recognised by its header and continued. Files are made as NAME.partial and get their
names when the last byte is on disk.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moonlet.checkpoint.gguf.cursor import ARRAY, STRING
from moonlet.checkpoint.gguf.header import DEFAULT_ALIGNMENT, MAGIC
from moonlet.checkpoint.gguf.shards import split_name
from moonlet.errors import CheckpointError
from moonlet.formats.gguf import BlockType

VERSION = 3
_U16, _U32, _I32, _F32, _BOOL = 2, 4, 5, 6, 7
Fact = bool | int | float | str | list[str] | list[int] | list[float]
"""A metadata value: int is written as 32 bits unsigned, a list of int as 32 bits signed, floats as 32 bits."""

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """A tensor to be written.

    shape: outermost dimension first.  pieces: called when its turn has come, gives its bytes in order, a piece at a
    time, so that no more than one piece is in memory.
    """

    name: str
    kind: BlockType
    shape: tuple[int, ...]
    pieces: Callable[[], Iterable[bytes | memoryview]]

    @property
    def num_bytes(self) -> int:
        """Bytes of the tensor in the file, padding excluded."""
        rows = 1
        for size in self.shape[:-1]:
            rows *= size
        return rows * self.kind.row_bytes(self.shape[-1])


def write_gguf(
    path: Path,
    metadata: dict[str, Fact],
    tensors: Sequence[TensorPlan],
    *,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Write a model to `path`, or to split files beside it when its tensors exceed `max_bytes`.

    Files that an interrupted run completed are kept, a started one is continued after its last whole tensor.
    Returns the files. Raises CheckpointError if a file of that name exists and is not the one to be written, or if a
    tensor gives another number of bytes than its shape.
    """
    groups = _split(tensors, max_bytes)
    total = sum(tensor.num_bytes for tensor in tensors)
    count = len(groups)
    paths = [path] if count == 1 else [path.with_name(split_name(path.stem, i + 1, count)) for i in range(count)]
    _check_disk(path.parent, paths, total)
    done = 0
    for index, (target, group) in enumerate(zip(paths, groups, strict=True)):
        facts = dict(metadata) if index == 0 else {}
        split: list[tuple[str, int, int]] = []
        if count > 1:
            split = [("split.no", _U16, index), ("split.count", _U16, count)]
            split.append(("split.tensors.count", _I32, len(tensors)))
        header = _header(facts, split, group)
        if not _is_complete(target, header, group):
            _write_file(target, header, group, done, total, progress)
        done += sum(tensor.num_bytes for tensor in group)
        if progress is not None:
            progress(done, total)
    return tuple(paths)


def _check_disk(directory: Path, paths: Sequence[Path], total: int) -> None:
    """Refuse at once what would fail after hours. What earlier runs wrote counts as there."""
    found = [file for path in paths for file in (path, path.with_name(path.name + ".partial")) if file.is_file()]
    missing = total - sum(file.stat().st_size for file in found)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(directory).free
    except OSError as cause:
        raise CheckpointError(f"{directory}: cannot be written ({cause.strerror or cause})") from None
    if missing > free:
        raise CheckpointError(
            f"{directory}: {missing / 1e9:.1f} GB to write, {free / 1e9:.1f} GB free; choose another disk"
        )


def _split(tensors: Sequence[TensorPlan], max_bytes: int | None) -> list[list[TensorPlan]]:
    groups: list[list[TensorPlan]] = [[]]
    size = 0
    for tensor in tensors:
        if max_bytes is not None and groups[-1] and size + tensor.num_bytes > max_bytes:
            groups.append([])
            size = 0
        groups[-1].append(tensor)
        size += tensor.num_bytes
    return groups


def _header(facts: dict[str, Fact], split: list[tuple[str, int, int]], tensors: Sequence[TensorPlan]) -> bytes:
    parts = [MAGIC, struct.pack("<IQQ", VERSION, len(tensors), len(facts) + len(split))]
    for key, value in facts.items():
        parts += [_text(key), _value(value)]
    for key, kind, number in split:
        parts += [_text(key), struct.pack("<I", kind), struct.pack("<H" if kind == _U16 else "<i", number)]
    offset = 0
    for tensor in tensors:
        parts += [_text(tensor.name), struct.pack("<I", len(tensor.shape))]
        parts += [struct.pack("<Q", size) for size in reversed(tensor.shape)]
        parts += [struct.pack("<IQ", tensor.kind.ggml_type, offset)]
        offset += _padded(tensor.num_bytes)
    raw = b"".join(parts)
    return raw.ljust(_padded(len(raw)), b"\0")


def _value(value: Fact) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<IB", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _U32, value)
    if isinstance(value, float):
        return struct.pack("<If", _F32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _text(value)
    strings = [item for item in value if isinstance(item, str)]
    if strings:
        return struct.pack("<IIQ", ARRAY, STRING, len(strings)) + b"".join(map(_text, strings))
    if any(isinstance(item, float) for item in value):
        return struct.pack("<IIQ", ARRAY, _F32, len(value)) + np.array(value, dtype="<f4").tobytes()
    return struct.pack("<IIQ", ARRAY, _I32, len(value)) + np.array(value, dtype="<i4").tobytes()


def _text(text: str) -> bytes:
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _file_bytes(header: bytes, tensors: Sequence[TensorPlan]) -> int:
    return len(header) + sum(_padded(tensor.num_bytes) for tensor in tensors)


def _is_complete(target: Path, header: bytes, tensors: Sequence[TensorPlan]) -> bool:
    """Whether an earlier run finished this file. Raises CheckpointError if another file has its name."""
    if not target.exists():
        return False
    with target.open("rb") as file:
        same = file.read(len(header)) == header
    if not same or target.stat().st_size != _file_bytes(header, tensors):
        raise CheckpointError(f"{target}: exists and is another file; give another name or remove it")
    return True


def _write_file(
    target: Path, header: bytes, tensors: Sequence[TensorPlan], done: int, total: int, progress: Progress | None
) -> None:
    partial = target.with_name(target.name + ".partial")
    kept, position = _resume_point(partial, header, tensors)
    try:
        with partial.open("r+b" if kept >= 0 else "wb") as file:
            file.truncate(position)
            file.seek(position)
            if kept < 0:
                file.write(header)
            done += sum(tensor.num_bytes for tensor in tensors[: max(kept, 0)])
            for tensor in tensors[max(kept, 0) :]:
                written = 0
                for piece in tensor.pieces():
                    file.write(piece)
                    written += len(piece)
                    if progress is not None:
                        progress(done + written, total)
                if written != tensor.num_bytes:
                    raise CheckpointError(
                        f"{tensor.name}: {written:,} bytes, expected {tensor.num_bytes:,} for {tensor.kind.name} "
                        f"{list(tensor.shape)}; the source changed while it was read"
                    )
                file.write(bytes(_padded(written) - written))
                done += written
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as cause:
        raise CheckpointError(f"{partial}: cannot be written ({cause.strerror or cause})") from None


def _resume_point(partial: Path, header: bytes, tensors: Sequence[TensorPlan]) -> tuple[int, int]:
    """How many whole tensors a partial file holds and where they end; (-1, 0) to start anew.

    The last whole tensor is written again: it may be the one a crash cut off from the disk.
    """
    if not partial.exists():
        return -1, 0
    with partial.open("rb") as file:
        if file.read(len(header)) != header:
            return -1, 0
        size = os.fstat(file.fileno()).st_size
    kept, end = 0, len(header)
    ends = [end]
    for tensor in tensors:
        end += _padded(tensor.num_bytes)
        if end > size:
            break
        ends.append(end)
        kept += 1
    kept = max(0, kept - 1)
    return kept, ends[kept]


def _padded(position: int) -> int:
    return -(-position // DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT
