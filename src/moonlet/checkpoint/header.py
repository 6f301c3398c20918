"""The header of a safetensors file, read and checked without touching the tensors.

A file is 8 bytes (little-endian length N), N bytes of JSON that give each tensor's type, shape and place, then the
tensors. The safetensors library reads it too, but stops with one general message; here every way a download or a
copy goes wrong is told apart and named. Format: https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from moonlet.config.json_file import JsonObject, one_line, parse_json_object
from moonlet.errors import CheckpointError

MAX_HEADER_BYTES = 100 << 20
"""The library's own limit. K2.5's largest header is under 1 MB."""

DTYPES: dict[str, torch.dtype] = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
    "I8": torch.int8,
    "U8": torch.uint8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor in a file: type as safetensors spells it, shape, and where its bytes are, from the file's start."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    num_bytes: int


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Every tensor of the file by name, in the order of their bytes.

    Raises CheckpointError in one line: unreadable, cut short, an impossible header, an unknown type, a shape that
    does not give the bytes claimed, tensors that overlap, leave gaps or end before the file does.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            if len(prefix) < 8 or size < 8 + length:
                raise CheckpointError(_cut_short(path, size, 8 + length if len(prefix) == 8 else 8))
            if length > MAX_HEADER_BYTES:
                raise CheckpointError(
                    f"{path.name}: header of {length:,} bytes, expected at most {MAX_HEADER_BYTES:,}; "
                    "this is no shard of a model"
                )
            raw = file.read(length)
    except OSError as cause:
        raise CheckpointError(f"{path.name}: cannot be read ({cause.strerror or cause})") from None
    source = parse_json_object(raw, f"{path.name} header", CheckpointError)
    source.pop("__metadata__", None)
    entries = {name: _entry(path, name, value, 8 + length) for name, value in source.items()}
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].num_bytes)))
    end = 8 + length
    for name, entry in ordered.items():
        if entry.start != end:
            kind = "overlaps the tensor before it" if entry.start < end else "leaves a gap before it"
            raise CheckpointError(f"{path.name}: {one_line(name)} {kind} at byte {entry.start:,}; fetch the file again")
        end += entry.num_bytes
    if end > size:
        raise CheckpointError(_cut_short(path, size, end))
    if end < size:
        raise CheckpointError(
            f"{path.name}: {size - end:,} bytes after the last tensor, expected none; "
            "the file is damaged, fetch it again"
        )
    return ordered


def _cut_short(path: Path, size: int, expected: int) -> str:
    return f"{path.name}: {size:,} bytes, expected {expected:,}; the shard is cut short or damaged, fetch it again"


def _entry(path: Path, name: str, value: Any, data_start: int) -> TensorEntry:
    where = f"{path.name}: {one_line(name)}"
    if not isinstance(value, dict) or not {"dtype", "shape", "data_offsets"} <= value.keys():
        raise CheckpointError(f"{where}: header entry without dtype, shape and data_offsets; fetch the file again")
    entry: JsonObject = value
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(
            f"{where}: type {one_line(repr(dtype), 40)} is unknown, expected one of {', '.join(DTYPES)}"
        )
    if not _naturals(shape) or len(shape) > 8:
        raise CheckpointError(f"{where}: shape {one_line(repr(shape), 60)}, expected a list of at most 8 sizes")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[1] < offsets[0]:
        raise CheckpointError(f"{where}: data_offsets {one_line(repr(offsets), 60)}, expected a start and an end")
    num_bytes = math.prod(shape) * DTYPES[dtype].itemsize
    if offsets[1] - offsets[0] != num_bytes:
        expected = one_line(f"{num_bytes:,} for {dtype} {shape}", 80)
        raise CheckpointError(f"{where}: {offsets[1] - offsets[0]:,} bytes, expected {expected}; fetch the file again")
    return TensorEntry(dtype, tuple(shape), data_start + offsets[0], num_bytes)


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 62 for item in value)
