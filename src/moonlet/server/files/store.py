"""Uploaded files, in memory, until the server stops or there is no more room for them."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from moonlet.server.reply_view import new_id

MAX_FILE_BYTES = 100 << 20
MAX_STORE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One upload. created_at: seconds since 1970."""

    id: str
    filename: str
    purpose: str
    created_at: int
    content: bytes


class FileStore:
    """Files by id; the oldest go when the room is used up. For one event loop."""

    def __init__(self, max_bytes: int = MAX_STORE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._files: OrderedDict[str, StoredFile] = OrderedDict()
        self._num_bytes = 0

    def add(self, filename: str, purpose: str, content: bytes) -> StoredFile:
        """Keep a file under a new id."""
        stored = StoredFile(new_id("file-"), filename, purpose, int(time.time()), content)
        self._files[stored.id] = stored
        self._num_bytes += len(content)
        while self._num_bytes > self._max_bytes:
            _, oldest = self._files.popitem(last=False)
            self._num_bytes -= len(oldest.content)
        return stored

    def get(self, file_id: str) -> StoredFile | None:
        """The file of that id, if it is still here."""
        return self._files.get(file_id)

    def remove(self, file_id: str) -> bool:
        """Forget a file. Returns whether it was here."""
        removed = self._files.pop(file_id, None)
        if removed is None:
            return False
        self._num_bytes -= len(removed.content)
        return True

    def all(self) -> tuple[StoredFile, ...]:
        """Every file, the oldest first."""
        return tuple(self._files.values())
