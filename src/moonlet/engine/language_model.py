"""What the engine needs of a model: the seam at which tests put a scripted one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from moonlet.cache import LatentPages
from moonlet.model.batch import ForwardBatch
from moonlet.model.vision import VisionItem


class VisionEncoder(Protocol):
    """The vision tower and its projector."""

    def encode(self, items: Sequence[VisionItem]) -> list[Tensor]:
        """Features of each item: [num_tokens, hidden_size of the language model] float32.

        The same bits whether an item comes alone or with others.
        """
        ...


class LanguageModel(Protocol):
    """A decoder with its weights, ready to run. Holds no state of any conversation; that is all in the cache."""

    @property
    def vocab_size(self) -> int:
        """Logits a token."""
        ...

    @property
    def max_position_embeddings(self) -> int:
        """Tokens of the longest context the model was made for."""
        ...

    @property
    def vision(self) -> VisionEncoder | None:
        """What turns pictures into rows for the decoder; None for a checkpoint that reads text only."""
        ...

    def new_cache(self, num_pages: int) -> LatentPages:
        """A pool of `num_pages` pages of 64 tokens, in this model's width, type and place."""
        ...

    def forward(self, batch: ForwardBatch, cache: LatentPages) -> Tensor:
        """Store the batch's latents and return the logits of `batch.logits_rows`: [M, vocab_size] float32."""
        ...
