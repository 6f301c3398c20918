"""A folder of sealed files within a byte budget: what the disk tier keeps, and nothing about what is in it.

    KEY-PARENT.page     KEY-PARENT.reply     KEY-PARENT.arguments     moonlet.lock

A file is named by a key made from what it holds, and by that of the file it continues. It is written under another name
and renamed when it is whole, and ends with a checksum of itself: whenever the program is killed, a name of ours holds a
whole file; what a power cut leaves, or a failing disk, is noticed when it is read. So nothing is flushed by force.

A file goes only after those that continue it, the one used longest ago first. Files under other names are not touched.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import stat
import struct
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Literal, cast

from moonlet.errors import OptionError

logger = logging.getLogger(__name__)

Kind = Literal["page", "reply", "arguments"]

KEY_BYTES = 16
NO_PARENT = bytes(KEY_BYTES)
"""Stands for the parent of a file that continues nothing."""

ENVELOPE = struct.Struct("<8sI4x")
"""Magic and version, before everything else."""
CHECKSUM_BYTES = 16
MAGIC = b"moonlet\0"
VERSION = 1

_NAME = re.compile(r"([0-9a-f]{32})-([0-9a-f]{32})\.(page|reply|arguments)")
_TEMPORARY = re.compile(_NAME.pattern + r"\.tmp")
_BLOCK_BYTES = 4096
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(slots=True)
class _File:
    """num_bytes: on the disk, in whole blocks.  used: time of last use, seconds since the epoch."""

    parent: bytes
    kind: Kind
    num_bytes: int
    used: float


class KvFolder:
    """One process uses a folder at a time. `write` is for one thread; everything else is safe to use from any."""

    def __init__(self, path: Path, budget_bytes: int) -> None:
        """Make the folder if need be, for its owner alone, and bring it within its budget.

        Raises OptionError if it cannot be used, or another process uses it.
        """
        self.path = path
        self.num_refused = 0
        """Files that were damaged or not what their name says."""
        self._budget_bytes = budget_bytes
        self._mutex = Lock()
        self._files: dict[bytes, _File] = {}
        self._num_children: Counter[bytes] = Counter()
        # Files that none continues, by time of last use. Entries go stale; whoever pops one compares.
        self._leaves: list[tuple[float, bytes]] = []
        self._num_bytes = 0
        self._num_pages = 0
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(path)
            self._scan()
        except OSError as error:
            raise OptionError(
                f"kv_dir {path}: cannot be used ({error.strerror or error}); name a folder that can be written to"
            ) from None
        with self._mutex:
            self._make_room(0, NO_PARENT)

    @property
    def num_bytes(self) -> int:
        """Bytes that the files take on the disk, in whole blocks."""
        return self._num_bytes

    @property
    def num_pages(self) -> int:
        """Files of kind page."""
        return self._num_pages

    def __contains__(self, key: bytes) -> bool:
        return key in self._files

    def read(self, key: bytes, header: bytes, max_bytes: int) -> memoryview | None:
        """What follows `header` in the file of `key`; None if there is no such file, or it is not what it should be.

        max_bytes: that follow the header at most. A damaged file is deleted; one that is not ours, or has another
        header, is left where it is and not looked at again.
        """
        with self._mutex:
            file = self._files.get(key)
        if file is None:
            return None
        path = self._path(key, file)
        try:
            content = _read_file(path, ENVELOPE.size + len(header) + max_bytes + CHECKSUM_BYTES)
            fault, is_ours = _fault(content, header)
            if fault and is_ours:
                path.unlink()
        except OSError as error:
            fault = f"cannot be read ({error.strerror or error})"
        if fault and key in self._files:  # otherwise it went for room a moment ago
            logger.warning("kv_dir: %s %s; it is not used", path, fault)
            with self._mutex:
                self.num_refused += 1
                self._remove(key)
        if fault:
            return None
        return memoryview(content)[ENVELOPE.size + len(header) : -CHECKSUM_BYTES]

    def read_ahead(self, key: bytes) -> None:
        """Have the kernel bring the file of `key` into its memory, if there is one. Waits for the disk now and then."""
        with self._mutex:
            file = self._files.get(key)
        if file is None:
            return
        with suppress(OSError):  # whoever reads it will say what is wrong with it
            descriptor = os.open(self._path(key, file), _READ_FLAGS)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)

    def write(self, key: bytes, parent: bytes, kind: Kind, parts: Sequence[bytes]) -> bool:
        """Keep `parts`, one after the other, under `key`. False if that takes giving up `parent`, or `parent` is not
        there: without it nobody would come upon this file. Raises OSError."""
        parts = (ENVELOPE.pack(MAGIC, VERSION), *parts)
        file = _File(parent, kind, _on_disk(sum(map(len, parts)) + CHECKSUM_BYTES), time.time())
        with self._mutex:
            if parent != NO_PARENT and parent not in self._files:
                return False
            self._remove(key)
            if not self._make_room(file.num_bytes, keep=parent):
                return False
        path = self._path(key, file)
        temporary = path.with_name(path.name + ".tmp")
        try:
            checksum = blake2b(digest_size=CHECKSUM_BYTES)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                for part in parts:
                    checksum.update(part)
                    opened.write(part)
                opened.write(checksum.digest())
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        with self._mutex:
            self._add(key, file)
        return True

    def touch(self, key: bytes) -> None:
        """Make the file of `key`, if there is one, and with it those it continues, the most recently used."""
        with self._mutex:
            file = self._files.get(key)
            if file is None:
                return
            file.used = time.time()
            self._offer(key)
        with suppress(OSError):
            os.utime(self._path(key, file), (file.used, file.used))

    def close(self) -> None:
        """Let other processes use the folder."""
        self._lock.close()

    def _path(self, key: bytes, file: _File) -> Path:
        return self.path / f"{key.hex()}-{file.parent.hex()}.{file.kind}"

    def _scan(self) -> None:
        with os.scandir(self.path) as found:
            for entry in found:
                if not entry.is_file(follow_symlinks=False):
                    continue
                if _TEMPORARY.fullmatch(entry.name):
                    Path(entry.path).unlink()
                elif match := _NAME.fullmatch(entry.name):
                    key, parent = bytes.fromhex(match[1]), bytes.fromhex(match[2])
                    status = entry.stat(follow_symlinks=False)
                    self._add(key, _File(parent, cast(Kind, match[3]), _on_disk(status.st_size), status.st_mtime))

    def _add(self, key: bytes, file: _File) -> None:
        self._files[key] = file
        self._num_children[file.parent] += 1
        self._num_bytes += file.num_bytes
        self._num_pages += file.kind == "page"
        self._offer(key)

    def _remove(self, key: bytes) -> _File | None:
        """Take the file out of the books alone."""
        file = self._files.pop(key, None)
        if file is not None:
            self._num_children[file.parent] -= 1
            if not self._num_children[file.parent]:
                del self._num_children[file.parent]
            self._num_bytes -= file.num_bytes
            self._num_pages -= file.kind == "page"
            self._offer(file.parent)
        return file

    def _make_room(self, num_bytes: int, keep: bytes) -> bool:
        """Delete until `num_bytes` more fit, sparing `keep`. Returns whether they do."""
        spared = []
        while self._num_bytes + num_bytes > self._budget_bytes and self._leaves:
            used, key = heappop(self._leaves)
            file = self._files.get(key)
            if file is None or file.used != used or self._num_children[key]:
                continue
            if key == keep:
                spared.append((used, key))
                continue
            parent = self._files.get(file.parent)
            if parent is not None:
                parent.used = max(parent.used, used)
            self._remove(key)
            with suppress(FileNotFoundError):
                self._path(key, file).unlink()
        for leaf in spared:
            heappush(self._leaves, leaf)
        return self._num_bytes + num_bytes <= self._budget_bytes

    def _offer(self, key: bytes) -> None:
        file = self._files.get(key)
        if file is None or self._num_children[key]:
            return
        if len(self._leaves) > 2 * len(self._files) + 64:
            self._leaves = [(one.used, name) for name, one in self._files.items() if not self._num_children[name]]
            heapify(self._leaves)
        heappush(self._leaves, (file.used, key))


def _locked(path: Path) -> BinaryIO:
    """An open file that holds the folder for this process; the kernel lets go of it however the process ends."""
    lock = path / "moonlet.lock"
    opened = os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        opened.close()
        raise OptionError(
            f"kv_dir {path}: another moonlet is using it, and a folder serves one at a time; "
            "close that one or name another folder"
        ) from None
    return opened


def _read_file(path: Path, max_bytes: int) -> bytearray:
    """The file up to a byte more than `max_bytes`, writable so that tensors can be made of it without a warning."""
    with os.fdopen(os.open(path, _READ_FLAGS), "rb") as opened:
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a plain file")
        content = bytearray(min(status.st_size, max_bytes + 1))
        return content[: opened.readinto(content)]


def _fault(content: bytearray, header: bytes) -> tuple[str, bool]:
    """What is wrong with a file, empty if nothing, and whether it is one of this program's that was damaged."""
    if len(content) < ENVELOPE.size:
        return "is cut short", content.startswith(MAGIC)
    magic, version = ENVELOPE.unpack_from(content)
    if magic != MAGIC:
        return "is not a file of moonlet", False
    if version != VERSION:
        return f"is of version {version}, expected {VERSION}", False
    body = memoryview(content)[:-CHECKSUM_BYTES]
    if blake2b(body, digest_size=CHECKSUM_BYTES).digest() != content[-CHECKSUM_BYTES:]:
        return "is damaged (its checksum does not agree)", True
    if body[ENVELOPE.size :][: len(header)] != header:
        return "was made for another model or place", False
    return "", True


def _on_disk(num_bytes: int) -> int:
    return -(-num_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
