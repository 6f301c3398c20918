"""Runs sequences over one model and one pool of pages.

    admit -> step, step, ... (prefill chunks, then one token each) -> finish

A page belongs to one sequence, or to the prefix kept from the sequence that finished last, or is free. The kept prefix
is what makes the next turn of a conversation cheap; it is given up as soon as its pages are needed. Reuse changes no
bits on the CPU kernels: a latent is the same whichever chunk or step computed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock

import torch
from torch import Tensor

from moonlet.cache import PageAllocator, pages_for
from moonlet.engine.batch import Chunk, build_batch
from moonlet.engine.features import FeatureCache, FeatureReader
from moonlet.engine.language_model import LanguageModel
from moonlet.engine.media import MediaSpan
from moonlet.engine.sequence import Sequence
from moonlet.errors import ContextLengthError, PromptError

FEATURE_CACHE_BYTES = 256 << 20
"""Features of two of K2.5's largest pictures: 4,096 tokens of 7,168 values each."""


@dataclass(frozen=True, slots=True)
class _Prefix:
    """Tokens whose latents lie in `pages`, held by nobody else.

    identity_ids: a picture's placeholders look like any other's, so the tokens' ids would not tell what was seen.
    """

    identity_ids: list[int]
    pages: list[int]


class Runner:
    """One forward pass at a time; any number of sequences may be open between passes. Safe to use from threads."""

    def __init__(self, model: LanguageModel, *, context_length: int, chunk_size: int) -> None:
        """context_length: most tokens of a sequence, and of all open ones together; memory is reserved for them."""
        assert 0 < context_length <= model.max_position_embeddings
        self.context_length = context_length
        self._model = model
        self._chunk_size = chunk_size
        num_pages = pages_for(context_length)
        self.allocator = PageAllocator(num_pages)
        self._cache = model.new_cache(num_pages)
        self._features = FeatureCache(FEATURE_CACHE_BYTES)
        self._kept: _Prefix | None = None
        self._num_open = 0
        # Re-entrant: the garbage collector may close a forgotten reply while this thread is inside a step.
        self._lock = RLock()

    def check_prompt(self, prompt_ids: list[int]) -> None:
        """Raises PromptError for no prompt or an id outside the vocabulary, ContextLengthError for one too long."""
        if not prompt_ids:
            raise PromptError("prompt: found no tokens, expected at least one")
        vocab_size = self._model.vocab_size
        low, high = min(prompt_ids), max(prompt_ids)
        if low < 0 or high >= vocab_size:
            found = low if low < 0 else high
            raise PromptError(f"prompt: found token id {found}, expected ids from 0 to {vocab_size - 1}")
        if len(prompt_ids) >= self.context_length:
            can_grow = self.context_length < self._model.max_position_embeddings
            advice = f"or raise context_length (the model takes {self._model.max_position_embeddings})"
            raise ContextLengthError(
                f"prompt: {len(prompt_ids)} tokens, the context holds {self.context_length} with at least one for the "
                f"reply; shorten the prompt {advice if can_grow else 'or start a new conversation'}"
            )

    def admit(self, prompt_ids: list[int], media: tuple[MediaSpan, ...] = ()) -> Sequence:
        """Open a sequence for a prompt; whoever calls this must call `finish` or `abandon`.

        Pages of the kept prefix that hold the same tokens become the sequence's own. At least the last token of the
        prompt is computed anew, since its logits choose the first token of the reply.
        media: what the placeholders among the ids stand for; the model has a vision tower if there is any.
        The prompt must have passed `check_prompt`.
        """
        features = None
        if media:
            assert self._model.vision is not None, "media for a model without a vision tower are refused before"
            features = FeatureReader(media, self._model.vision, self._features)
        sequence = Sequence(list(prompt_ids), num_prompt_tokens=len(prompt_ids), media=media, features=features)
        with self._lock:
            self._num_open += 1
            if self._kept is not None:
                num_common = _common_length(self._kept.identity_ids, sequence.identity_ids(len(prompt_ids) - 1))
                if num_common > 0:
                    num_shared = pages_for(num_common)
                    sequence.pages, rest = self._kept.pages[:num_shared], self._kept.pages[num_shared:]
                    sequence.num_computed = sequence.num_cached_tokens = num_common
                    self._kept = None
                    self.allocator.free(rest)
        return sequence

    def step(self, sequence: Sequence) -> Tensor | None:
        """Compute the next chunk of `sequence`.

        Returns the logits of its last token, [vocab_size] float32, or None while prompt tokens remain.
        Raises PromptError if other open sequences hold the pages it needs.
        """
        with self._lock:
            num_tokens = min(self._chunk_size, sequence.num_uncomputed)
            assert num_tokens > 0, "a step needs a token the model has not seen"
            self._reserve(sequence, num_tokens)
            chunk = Chunk(sequence, num_tokens)
            is_last = chunk.ends_sequence
            with torch.inference_mode():
                logits = self._model.forward(build_batch([chunk]), self._cache)
            # Only now: if the pass was interrupted, the tokens are computed again into the same slots.
            sequence.num_computed += num_tokens
            return logits[0] if is_last else None

    def finish(self, sequence: Sequence) -> None:
        """Close `sequence` and keep what it computed for a prompt that begins alike. No effect on a closed one."""
        with self._lock:
            if sequence.is_closed:
                return
            self._close(sequence)
            num_kept = pages_for(sequence.num_computed)
            if num_kept > 0:
                self._drop_kept()
                self._kept = _Prefix(sequence.identity_ids(sequence.num_computed), sequence.pages[:num_kept])
            self.allocator.free(sequence.pages[num_kept:])
            sequence.pages = []

    def abandon(self, sequence: Sequence) -> None:
        """Close `sequence` after an error: its latents are not trusted, its pages freed. No effect on a closed one."""
        with self._lock:
            if sequence.is_closed:
                return
            self._close(sequence)
            self.allocator.free(sequence.pages)
            sequence.pages = []

    def forget(self) -> None:
        """Give up the kept prefix."""
        with self._lock:
            self._drop_kept()

    def _close(self, sequence: Sequence) -> None:
        sequence.is_closed = True
        if sequence.features is not None:
            sequence.features.close()
        self._num_open -= 1

    def _reserve(self, sequence: Sequence, num_tokens: int) -> None:
        wanted = sequence.pages_wanted(num_tokens)
        if not self.allocator.can_allocate(wanted):
            self._drop_kept()
        if not self.allocator.can_allocate(wanted):
            raise PromptError(
                f"the cache of {self.context_length} tokens is full: {self._num_open - 1} other replies are open; "
                "finish or close them first, or raise context_length"
            )
        sequence.pages.extend(self.allocator.allocate(wanted))

    def _drop_kept(self) -> None:
        if self._kept is not None:
            pages, self._kept = self._kept.pages, None
            self.allocator.free(pages)


def _common_length(first: list[int], second: list[int]) -> int:
    """How many leading ids are the same."""
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length
    return next(index for index in range(length) if first[index] != second[index])
