"""The header of a GGUF file: metadata and the place of every tensor, read and checked without touching a weight.

Layout: "GGUF", version, two counts, metadata pairs, tensor entries, padding, tensors each at a multiple of the
alignment. Source: docs/gguf.md of ggml. A file is refused here if it is cut short, claims impossible counts or
sizes, or places its tensors anywhere but one after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from moonlet.checkpoint.gguf.cursor import MAX_KEY_BYTES, Cursor, Value
from moonlet.config.json_file import one_line
from moonlet.formats.gguf import BlockType, block_type_numbered

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 1 << 20
MAX_METADATA = 1 << 16
MAX_TENSORS = 1 << 17
MAX_NAME_BYTES = 256
MAX_DIMENSIONS = 4
MAX_SIZE = 1 << 40
"""Of one dimension, and of all the weights of a tensor: K2.5's largest tensor has 5.6e9."""


@dataclass(frozen=True, slots=True)
class GgufEntry:
    """A tensor in a file. shape: outermost dimension first, as torch counts (the file counts from the innermost).

    start: of its bytes, from the file's start.
    """

    kind: BlockType
    shape: tuple[int, ...]
    start: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """metadata: key to value.  tensors: by name, in the order of the file.  num_bytes: where the file should end."""

    metadata: dict[str, Value]
    tensors: dict[str, GgufEntry]
    num_bytes: int


def parse_header(data: memoryview, file_name: str) -> GgufHeader:
    """Read the header at the start of `data`, the whole mapped file.

    Raises CheckpointError in one line naming the file and what is wrong with it.
    """
    cursor = Cursor(data, file_name)
    magic = bytes(cursor.take(4, "the magic number"))
    if magic != MAGIC:
        raise cursor.fail(f"begins with {magic!r}, expected {MAGIC!r}; this is no GGUF file")
    version = cursor.u32("the version")
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
        hint = "it is written for big-endian machines" if swapped else "convert it anew"
        raise cursor.fail(f"version {version}, expected 2 or 3; {hint}")
    num_tensors = _count(cursor, "tensors", MAX_TENSORS)
    num_metadata = _count(cursor, "metadata pairs", MAX_METADATA)
    metadata: dict[str, Value] = {}
    for _ in range(num_metadata):
        key = cursor.text("a metadata key", MAX_KEY_BYTES)
        if key in metadata:
            raise cursor.fail(f"metadata {one_line(key, 80)} occurs twice")
        metadata[key] = cursor.value(key)
    alignment = _alignment(cursor, metadata)
    found: list[tuple[str, BlockType, tuple[int, ...], int]] = []
    for _ in range(num_tensors):
        found.append(_entry(cursor))
    start = _padded(cursor.position, alignment)
    return GgufHeader(metadata, *_place(cursor, found, start, alignment, len(data)))


def _count(cursor: Cursor, what: str, limit: int) -> int:
    count = cursor.u64(f"the number of {what}")
    if count > limit:
        raise cursor.fail(f"claims {count:,} {what}, expected at most {limit:,}")
    return count


def _alignment(cursor: Cursor, metadata: dict[str, Value]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(alignment) is not int or not 0 < alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
        shown = one_line(repr(alignment), 40)
        raise cursor.fail(f"general.alignment is {shown}, expected a power of two up to {MAX_ALIGNMENT:,}")
    return alignment


def _entry(cursor: Cursor) -> tuple[str, BlockType, tuple[int, ...], int]:
    name = cursor.text("a tensor's name", MAX_NAME_BYTES)
    what = f"tensor {one_line(name, 80)}"
    num_dimensions = cursor.u32(what)
    if not 1 <= num_dimensions <= MAX_DIMENSIONS:
        raise cursor.fail(f"{what} has {num_dimensions} dimensions, expected 1 to {MAX_DIMENSIONS}")
    shape = tuple(reversed([cursor.u64(what) for _ in range(num_dimensions)]))
    if min(shape) < 1 or math.prod(shape) > MAX_SIZE:
        raise cursor.fail(f"{what} has shape {list(shape)}, expected sizes from 1 and at most {MAX_SIZE:,} weights")
    number = cursor.u32(what)
    kind = block_type_numbered(number)
    if kind is None:
        raise cursor.fail(f"{what} has type {number}, which moonlet does not know; convert it to a type of llama.cpp")
    if shape[-1] % kind.block_weights:
        raise cursor.fail(
            f"{what} has rows of {shape[-1]} weights, expected a multiple of the {kind.block_weights} of a "
            f"{kind.name} block"
        )
    return name, kind, shape, cursor.u64(what)


def _place(
    cursor: Cursor, found: list[tuple[str, BlockType, tuple[int, ...], int]], start: int, alignment: int, size: int
) -> tuple[dict[str, GgufEntry], int]:
    """Turn offsets into places. Every writer puts the tensors one after the other; anything else is an error."""
    tensors: dict[str, GgufEntry] = {}
    end = start if found else cursor.position
    for name, kind, shape, offset in found:
        what = f"tensor {one_line(name, 80)}"
        if name in tensors:
            raise cursor.fail(f"{what} occurs twice")
        expected = _padded(end, alignment) - start
        if offset != expected:
            raise cursor.fail(f"{what} is at offset {offset:,}, expected {expected:,}; the file is damaged")
        num_bytes = math.prod(shape[:-1]) * kind.row_bytes(shape[-1])
        tensors[name] = GgufEntry(kind, shape, start + offset, num_bytes)
        end = start + offset + num_bytes
    if end > size:
        raise cursor.fail(f"{size:,} bytes, expected {end:,}; the file is cut short, fetch it again")
    if size > _padded(end, alignment):
        raise cursor.fail(f"{size - end:,} bytes after the last tensor, expected none; the file is damaged")
    return tensors, end


def _padded(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment
