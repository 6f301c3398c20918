"""The disk tier: pages of the prefix tree and what was emitted, kept in a folder from one run to the next.

A key is made from the model's fingerprint and all ids up to the end of the page, so equal keys mean equal latents.
Pages are written by a thread of their own, beside the engine's, which reads them back where the tree has none; what it
will want next is brought into the kernel's memory by a few more.

What the files hold: docs/kv-dir.md.
"""

from __future__ import annotations

import logging
import struct
import threading
import weakref
from array import array
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from queue import SimpleQueue

from moonlet.cache.kv_folder import KEY_BYTES, NO_PARENT, Kind, KvFolder
from moonlet.cache.pages import PAGE_SIZE, LatentPages
from moonlet.cache.prefix_tree import PageNode

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("<16s16s16sIII12s40x")
"""Fingerprint, key, key of the parent; layers, tokens, width and type of the rows. The ids follow, then the rows, which
begin at byte 640 of a page's file."""

_CLOSE_S = 30.0
"""How long an engine that is closed waits for what is still to be written."""

_BACKLOG_BYTES = 64 << 20
"""Rows copied for the thread that writes them. Beyond that a page is read in its turn, if the tree still has it."""

_NUM_READERS = 4
"""Files asked for at a time: what a cold file costs is mostly the waiting."""

_NOTE_TYPES: dict[Kind, bytes] = {"reply": b"int64", "arguments": b"utf-8"}
"""What is kept beside pages, and its element type."""

_Inbox = SimpleQueue[Callable[[], None] | None]


@dataclass(frozen=True, slots=True)
class DiskStats:
    """num_pages, num_bytes: in the folder, those of other models included.  num_loaded: pages read back.

    num_refused: files that were damaged or not what their name says.
    """

    num_pages: int
    num_bytes: int
    num_loaded: int
    num_refused: int


class DiskTier:
    """What one model keeps in a folder. Closing it, or forgetting it, closes the folder."""

    def __init__(self, folder: KvFolder, fingerprint: bytes) -> None:
        """fingerprint: 16 bytes; the same only for models that compute the same bits from the same ids."""
        assert len(fingerprint) == KEY_BYTES
        self._folder = folder
        self._fingerprint = fingerprint
        self._num_loaded = 0
        self._backlog = _Backlog()
        self._inbox: _Inbox = SimpleQueue()
        self._readers = ThreadPoolExecutor(_NUM_READERS, "moonlet-kv-read")
        # The thread knows the folder and the inbox alone, so that a tier nobody refers to ends it.
        thread = threading.Thread(target=_write_behind, args=(folder, self._inbox), name="moonlet-kv", daemon=True)
        thread.start()
        self._end = weakref.finalize(self, _end, self._inbox, thread, self._readers)

    def stats(self) -> DiskStats:
        """What there is now; from any thread."""
        folder = self._folder
        return DiskStats(folder.num_pages, folder.num_bytes, self._num_loaded, folder.num_refused)

    def key(self, parent: bytes, ids: Sequence[int]) -> bytes:
        """The key of the page that holds `ids` after the page of key `parent`; NO_PARENT for the first."""
        return self._digest(parent + _id_bytes(ids))

    def add(self, latents: LatentPages, node: PageNode) -> None:
        """Write `node`, a page just computed, when the thread comes to it, whatever the tree does with it by then."""
        assert node.parent is not None
        assert node.page is not None
        if not self._backlog.take(latents.page_bytes):
            self.save(latents, node)
            return
        header = _page_header(self._fingerprint, node.key, node.parent.key, node.ids, latents)
        parts = (header, latents.read_page(node.page))
        self._inbox.put(partial(_write_copy, self._folder, node.key, node.parent.key, parts, self._backlog))

    def save(self, latents: LatentPages, node: PageNode) -> None:
        """Write what the folder lacks of `node` and the pages before it, when the thread comes to it; all of them are
        the most recently used then. Pages that the tree has given up by that time are passed over."""
        self._inbox.put(partial(_save_chain, self._folder, self._fingerprint, latents, node))

    def read_ahead(self, parent: bytes, pages: Iterable[Sequence[int]]) -> None:
        """Have the files of `pages`, which follow the page of key `parent`, read before they are loaded."""
        for ids in pages:
            parent = self.key(parent, ids)
            if parent not in self._folder:
                return
            self._readers.submit(self._folder.read_ahead, parent)

    def has(self, key: bytes) -> bool:
        """Whether there is a file for this page, which may still turn out to be damaged."""
        return key in self._folder

    def load(self, latents: LatentPages, page: int, key: bytes, parent: bytes, ids: Sequence[int]) -> bool:
        """Read the page of `key` into `page`. False if it is not there or is not what its name says."""
        header = _page_header(self._fingerprint, key, parent, ids, latents)
        rows = self._folder.read(key, header, latents.page_bytes)
        if rows is None or len(rows) != latents.page_bytes:
            return False
        latents.write_page(page, rows)
        self._num_loaded += 1
        return True

    def save_reply(self, prompt_key: bytes, ids: Sequence[int]) -> None:
        """Write what was emitted after a prompt, when the thread comes to it."""
        self._save_note("reply", prompt_key, _id_bytes(ids))

    def load_reply(self, prompt_key: bytes, max_tokens: int) -> tuple[int, ...] | None:
        """What was emitted after a prompt; None if that is not known, or more than `max_tokens`."""
        content = self._load_note("reply", prompt_key, max_tokens * 8)
        if content is None:
            return None
        ids = array("q")
        ids.frombytes(content)
        return tuple(ids)

    def save_arguments(self, call_key: bytes, text: str) -> None:
        """Write how the arguments of a call were spelt, when the thread comes to it."""
        self._save_note("arguments", call_key, text.encode("utf-8", "surrogatepass"))

    def load_arguments(self, call_key: bytes, max_bytes: int) -> str | None:
        """How the arguments of a call were spelt; None if that is not known, or longer than `max_bytes`."""
        content = self._load_note("arguments", call_key, max_bytes)
        return None if content is None else bytes(content).decode("utf-8", "surrogatepass")

    def touch_note(self, kind: Kind, name: bytes) -> None:
        """What is kept under `name` was used, though it was not read from here."""
        self._inbox.put(partial(self._folder.touch, self._note_key(kind, name)))

    def close(self) -> None:
        """Write what is waiting and let go of the folder. Nothing on a second call."""
        self._end()

    def _digest(self, content: bytes) -> bytes:
        return blake2b(self._fingerprint + content, digest_size=KEY_BYTES).digest()

    def _note_key(self, kind: Kind, name: bytes) -> bytes:
        return self._digest(kind.encode() + name)

    def _note_header(self, kind: Kind, key: bytes) -> bytes:
        return _HEADER.pack(self._fingerprint, key, NO_PARENT, 0, 0, 0, _NOTE_TYPES[kind])

    def _save_note(self, kind: Kind, name: bytes, content: bytes) -> None:
        key = self._note_key(kind, name)
        parts = (self._note_header(kind, key), content)
        self._inbox.put(partial(_save_note, self._folder, kind, key, parts))

    def _load_note(self, kind: Kind, name: bytes, max_bytes: int) -> memoryview | None:
        key = self._note_key(kind, name)
        content = self._folder.read(key, self._note_header(kind, key), max_bytes)
        if content is not None:
            self._folder.touch(key)
        return content


class _Backlog:
    """Room for rows that wait to be written."""

    def __init__(self) -> None:
        self._num_left = _BACKLOG_BYTES
        self._lock = threading.Lock()

    def take(self, num_bytes: int) -> bool:
        """Whether there was room; it is taken then."""
        with self._lock:
            if num_bytes > self._num_left:
                return False
            self._num_left -= num_bytes
            return True

    def give(self, num_bytes: int) -> None:
        """They are written."""
        with self._lock:
            self._num_left += num_bytes


def _page_header(fingerprint: bytes, key: bytes, parent: bytes, ids: Sequence[int], latents: LatentPages) -> bytes:
    kind = str(latents.dtype).removeprefix("torch.").encode()
    shape = (latents.num_layers, PAGE_SIZE, latents.width)
    return _HEADER.pack(fingerprint, key, parent, *shape, kind) + _id_bytes(ids)


def _write_copy(folder: KvFolder, key: bytes, parent: bytes, parts: tuple[bytes, bytes], backlog: _Backlog) -> None:
    try:
        if key not in folder:
            folder.write(key, parent, "page", parts)
    finally:
        backlog.give(len(parts[1]))


def _save_chain(folder: KvFolder, fingerprint: bytes, latents: LatentPages, last: PageNode) -> None:
    missing: list[PageNode] = []
    node: PageNode | None = last
    while node is not None and node.key != NO_PARENT and node.key not in folder:
        missing.append(node)
        node = node.parent
    if node is None:
        return  # given up by the tree
    parent = node.key
    folder.touch(parent)  # before room is made for the rest
    for node in reversed(missing):
        page = node.page
        if page is None:
            return
        rows = latents.read_page(page)
        # The engine's thread clears `page` for good before others may write there: if it stands, the rows are whole.
        if node.page is None:
            return
        header = _page_header(fingerprint, node.key, parent, node.ids, latents)
        if not folder.write(node.key, parent, "page", (header, rows)):
            return
        parent = node.key


def _save_note(folder: KvFolder, kind: Kind, key: bytes, parts: Sequence[bytes]) -> None:
    folder.write(key, NO_PARENT, kind, parts)


def _write_behind(folder: KvFolder, inbox: _Inbox) -> None:
    has_warned = False
    while (task := inbox.get()) is not None:
        try:
            task()
        except OSError as error:
            if not has_warned:  # once: a full disk would fill the log too
                logger.warning("kv_dir %s: cannot be written to (%s); pages are lost", folder.path, error.strerror)
            has_warned = True
    folder.close()


def _end(inbox: _Inbox, thread: threading.Thread, readers: ThreadPoolExecutor) -> None:
    readers.shutdown(wait=False, cancel_futures=True)
    inbox.put(None)
    # The collector may come here on the very thread.
    if thread is not threading.current_thread():
        thread.join(_CLOSE_S)
        if thread.is_alive():
            logger.warning("kv_dir: not everything could be written within %g seconds", _CLOSE_S)


def _id_bytes(ids: Iterable[int]) -> bytes:
    return array("q", ids).tobytes()
