"""Runs batches over one model and its cache."""

from __future__ import annotations

from collections.abc import Sequence as Several

import torch
from torch import Tensor

from moonlet.cache import pages_for
from moonlet.engine.batch import Chunk, build_batch
from moonlet.engine.features import FeatureCache, FeatureReader
from moonlet.engine.language_model import LanguageModel
from moonlet.engine.media import MediaSpan, identity_ids
from moonlet.engine.sequence import Sequence
from moonlet.errors import ContextLengthError, PromptError

_SCORED_BYTES = 64 << 20
"""Logits of a step that scores a prompt."""


class Runner:
    """One forward pass at a time, by one thread. `cache` is the memory of all pages."""

    def __init__(
        self, model: LanguageModel, *, context_length: int, cache_tokens: int | None = None, feature_bytes: int = 0
    ) -> None:
        """context_length: most tokens of a sequence.  cache_tokens: of all sequences and kept prefixes together; at
        least, and if not given, as many.  feature_bytes: of features of pictures kept for later requests."""
        assert 0 < context_length <= model.max_position_embeddings
        self.context_length = context_length
        self._model = model
        self._features = FeatureCache(feature_bytes)
        self.cache = model.new_cache(pages_for(max(context_length, cache_tokens or 0)))

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

    def open(self, prompt_ids: list[int], media: tuple[MediaSpan, ...] = (), *, is_scored: bool = False) -> Sequence:
        """A sequence of which nothing is computed, for a prompt that has passed `check_prompt`.

        media: what the placeholders among the ids stand for; the model has a vision tower if there is any.
        is_scored: the logits of every token are wanted.
        """
        features = None
        if media:
            assert self._model.vision is not None, "media for a model without a vision tower are refused before"
            features = FeatureReader(media, self._model.vision, self._features)
        return Sequence(
            list(prompt_ids),
            len(prompt_ids),
            identity_ids(prompt_ids, media),
            features,
            prompt_logits_from=0 if is_scored and len(prompt_ids) > 1 else None,
            max_scored=max(1, _SCORED_BYTES // (4 * self._model.vocab_size)),
        )

    def chunk(self, sequence: Sequence, num_tokens: int) -> Chunk:
        """The next `num_tokens` of `sequence`, the images and frames among them encoded.

        Raises MediaError where a video turns out to be damaged.
        """
        if sequence.features is None:
            return Chunk(sequence, num_tokens)
        start = sequence.num_computed
        with torch.inference_mode():
            return Chunk(sequence, num_tokens, tuple(sequence.features.read(start, start + num_tokens)))

    def forward(self, chunks: Several[Chunk]) -> Tensor:
        """Store the latents of `chunks` and return the logits that they want, in order.

        Returns [sum of their num_logits, vocab_size] float32 on the CPU. The sequences do not change: an interrupted
        pass may be repeated into the same slots.
        """
        with torch.inference_mode():
            return self._model.forward(build_batch(chunks), self.cache)
