"""What the model emitted, by the prompt it followed, so that a history is read back as the ids it was made of.

A text has many spellings in tokens, and a model that samples does not always choose the tokenizer's. Encoded anew, a
reply could differ from what its latents were computed for, and the prefix cache would end there. So where a prompt goes
on exactly as a remembered one did, and its text is what was emitted after it, the emitted ids take the text's place.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from moonlet.chat.tokenizer import Tokenizer

if TYPE_CHECKING:
    from moonlet.cache import DiskTier


class ReplayMemory:
    """Emitted ids, the least recently used given up first. Safe to use from threads.

    The whole prompt is the key: what is replayed in one conversation comes from one that began with the same ids.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, disk: DiskTier | None = None) -> None:
        """max_tokens: of all replies kept together; 8 bytes each.  disk: keeps them beyond that and this run."""
        self._tokenizer = tokenizer
        self._special_ids = frozenset(tokenizer.special_ids.values())
        self._max_tokens = max_tokens
        self._disk = disk
        self._num_tokens = 0
        self._replies: OrderedDict[bytes, tuple[int, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, prompt_ids: Sequence[int], emitted_ids: Sequence[int]) -> None:
        """Keep what was emitted after `prompt_ids`, less the end of the turn, which the template prints itself."""
        emitted = tuple(emitted_ids)
        while emitted and emitted[-1] in self._tokenizer.stop_ids:
            emitted = emitted[:-1]
        if not emitted or len(emitted) > self._max_tokens:
            return
        key = blake2b(_bytes(prompt_ids), digest_size=16).digest()
        self._keep(key, emitted)
        if self._disk is not None:
            self._disk.save_reply(key, emitted)

    def encode(self, pieces: Sequence[str | int]) -> list[int]:
        """The ids of a prompt given as `Tokenizer.encode_pieces` takes it, with remembered replies as they were."""
        encoded = self._tokenizer.encode_each(pieces)
        ids: list[int] = []
        hashed = blake2b(digest_size=16)
        index = 0
        while index < len(pieces):
            ids += encoded[index]
            hashed.update(_bytes(encoded[index]))
            index += 1
            # A reply follows what the template prints before it, and that ends with a special token.
            emitted = self._find(hashed.digest()) if isinstance(pieces[index - 1], int) else None
            num_covered = self._num_covered(emitted, pieces, index) if emitted else 0
            if emitted and num_covered:
                ids += emitted
                hashed.update(_bytes(emitted))
                index += num_covered
        return ids

    def _keep(self, key: bytes, emitted: tuple[int, ...]) -> None:
        with self._lock:
            self._num_tokens += len(emitted) - len(self._replies.pop(key, ()))
            self._replies[key] = emitted
            while self._num_tokens > self._max_tokens:
                self._num_tokens -= len(self._replies.popitem(last=False)[1])

    def _find(self, key: bytes) -> tuple[int, ...] | None:
        with self._lock:
            kept = self._replies.get(key)
            if kept is not None:
                self._replies.move_to_end(key)
        if self._disk is None:
            return kept
        if kept is not None:
            self._disk.touch_note("reply", key)
            return kept
        found = self._disk.load_reply(key, self._max_tokens)
        if found is not None:
            self._keep(key, found)
        return found

    def _num_covered(self, emitted: Sequence[int], pieces: Sequence[str | int], index: int) -> int:
        """How many pieces from `index` on are what `emitted` spells; 0 if it spells anything else."""
        spelt = self._spelt(emitted)
        for offset, one in enumerate(spelt):
            piece = pieces[index + offset] if index + offset < len(pieces) else None
            if one != (piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece):
                return 0
        return len(spelt)

    def _spelt(self, ids: Iterable[int]) -> list[bytes | int]:
        """Special ids, and the bytes of the stretches between them."""
        spelt: list[bytes | int] = []
        for token_id in ids:
            if token_id in self._special_ids:
                spelt.append(token_id)
            elif spelt and isinstance(last := spelt[-1], bytes):
                spelt[-1] = last + self._tokenizer.token_bytes(token_id)
            else:
                spelt.append(self._tokenizer.token_bytes(token_id))
        return spelt


def _bytes(ids: Iterable[int]) -> bytes:
    return array("q", ids).tobytes()
