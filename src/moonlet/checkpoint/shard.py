"""One safetensors file, mapped into memory: tensors are views of the page cache, never copies."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

import torch
from torch import Tensor

from moonlet.checkpoint.header import DTYPES, TensorEntry, read_header
from moonlet.checkpoint.mapping import map_file
from moonlet.errors import CheckpointError


class Shard:
    """A file whose header has been read. It is mapped at the first `tensor` call.

    Ownership: every tensor keeps the mapping alive; the pages belong to the kernel's cache, which may drop and
    re-read them at any time, so a file larger than memory can be used. The mapping is private: a stray write would
    stay in this process and never reach the file.
    """

    def __init__(self, path: Path) -> None:
        """Read and check the header. Raises CheckpointError as `read_header` does."""
        self.path = path
        self.entries: dict[str, TensorEntry] = read_header(path)
        self._map: mmap.mmap | None = None

    def tensor(self, name: str) -> Tensor:
        """The tensor `name` as a view of the mapped file, contiguous, on the CPU.

        A tensor whose first byte is not aligned to its type (no known writer makes such files) is copied instead:
        kernels read whole words.
        """
        entry = self.entries[name]
        dtype = DTYPES[entry.dtype]
        if entry.num_bytes == 0:
            return torch.empty(entry.shape, dtype=dtype)
        count = entry.num_bytes // dtype.itemsize
        aligned = entry.start % dtype.itemsize == 0
        if not aligned:
            start, end = entry.start, entry.start + entry.num_bytes
            copied = torch.frombuffer(bytearray(self._mapped()[start:end]), dtype=dtype)
            return copied.view(entry.shape)
        return torch.frombuffer(self._mapped(), dtype=dtype, count=count, offset=entry.start).view(entry.shape)

    def read_integers(self, names: list[str]) -> dict[str, tuple[int, ...]]:
        """The contents of the named small I32 tensors, read past the page cache's read-ahead.

        They lie scattered between the packed weights: through the mapping, each would pull in its neighbourhood.
        """
        found: dict[str, tuple[int, ...]] = {}
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
                for name in names:
                    entry = self.entries[name]
                    raw = os.pread(descriptor, entry.num_bytes, entry.start)
                    found[name] = struct.unpack(f"<{len(raw) // 4}i", raw)
            finally:
                os.close(descriptor)
        except (OSError, struct.error) as cause:
            raise CheckpointError(f"{self.path.name}: cannot be read ({cause})") from None
        return found

    def _mapped(self) -> mmap.mmap:
        if self._map is None:
            self._map = map_file(self.path)
        return self._map
