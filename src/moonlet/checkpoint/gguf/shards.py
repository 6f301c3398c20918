"""The files of one GGUF model: a single one, or `NAME-00001-of-000NN.gguf` and its companions."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from moonlet.checkpoint.gguf.header import GgufEntry, parse_header
from moonlet.checkpoint.gguf.metadata import Metadata
from moonlet.checkpoint.mapping import map_file
from moonlet.config.json_file import one_line
from moonlet.errors import CheckpointError

_SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
MAX_SPLITS = 1 << 12


class GgufFile:
    """One mapped file whose header has been read.

    Ownership: every tensor handed out keeps the mapping alive.
    """

    def __init__(self, path: Path) -> None:
        """Read and check the header. Raises CheckpointError naming the file."""
        self.path = path
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; give a .gguf file")
        self._map = map_file(path)
        header = parse_header(memoryview(self._map), path.name)
        self.metadata = Metadata(header.metadata, path.name)
        self.entries = header.tensors

    def rows(self, name: str) -> Tensor:
        """The bytes of tensor `name`, [..., row_bytes] uint8: all dimensions but the last as stored."""
        entry: GgufEntry = self.entries[name]
        flat = torch.frombuffer(self._map, dtype=torch.uint8, count=entry.num_bytes, offset=entry.start)
        return flat.view(*entry.shape[:-1], entry.kind.row_bytes(entry.shape[-1]))


def split_name(stem: str, number: int, count: int) -> str:
    """The name of file `number` (from 1) of `count`, as llama.cpp expects it."""
    return f"{stem}-{number:05d}-of-{count:05d}.gguf"


def model_stem(path: Path) -> str:
    """The name of the model a file belongs to: without ".gguf" and without its number among split files."""
    match = _SPLIT.fullmatch(path.name)
    return match["stem"] if match is not None else path.stem


def open_files(path: Path) -> tuple[GgufFile, ...]:
    """Open `path` and, if it is one of a split model, all its companions, in order.

    Raises CheckpointError naming the file that is missing, damaged, of another model, or numbered wrongly.
    """
    match = _SPLIT.fullmatch(path.name)
    if match is None:
        file = GgufFile(path)
        count = file.metadata.integer("split.count", 1)
        if count > 1:
            raise CheckpointError(
                f"{path.name}: is one of {count} files, but its name does not say which; "
                f"expected a name like {split_name(path.stem, 1, count)}"
            )
        return (file,)
    count = int(match["count"])
    if not 1 <= count <= MAX_SPLITS or not 1 <= int(match["number"]) <= count:
        raise CheckpointError(f"{path.name}: file {match['number']} of {count} is impossible; was it renamed?")
    names = [split_name(match["stem"], number, count) for number in range(1, count + 1)]
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        others = f" (and {len(missing) - 1} others)" if len(missing) > 1 else ""
        raise CheckpointError(f"{missing[0]}: missing{others}, expected beside {path.name}; fetch it")
    files = tuple(GgufFile(path.parent / name) for name in names)
    _check_split(files)
    return files


def _check_split(files: tuple[GgufFile, ...]) -> None:
    for index, file in enumerate(files):
        number, count = file.metadata.integer("split.no"), file.metadata.integer("split.count")
        if (number, count) != (index, len(files)):
            raise CheckpointError(
                f"{file.path.name}: says it is part {number + 1} of {count}, expected {index + 1} of {len(files)}; "
                "files may have been renamed or mixed"
            )
    owner: dict[str, GgufFile] = {}
    for file in files:
        for name in file.entries:
            other = owner.setdefault(name, file)
            if other is not file:
                raise CheckpointError(
                    f"{one_line(name)}: in both {other.path.name} and {file.path.name}, expected in one"
                )
    expected = files[0].metadata.integer("split.tensors.count", len(owner))
    if expected != len(owner):
        raise CheckpointError(
            f"{files[0].path.name}: expects {expected:,} tensors over all parts, found {len(owner):,}; "
            "files of two models may be mixed"
        )
