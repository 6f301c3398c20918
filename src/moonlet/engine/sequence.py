"""One request's tokens, and the pages that hold the latents of those the model has seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from moonlet.cache import PAGE_SIZE, pages_for
from moonlet.engine.features import FeatureReader
from moonlet.engine.media import MediaSpan, identity_ids


@dataclass(slots=True)
class Sequence:
    """Prompt and output in one list; `pages` in the order of the tokens they hold.

    The first `num_computed` tokens have their latents in the cache. What lies between them and the end is the next
    forward pass: a prefill chunk or the one token sampled last.
    """

    token_ids: list[int]
    num_prompt_tokens: int
    media: tuple[MediaSpan, ...] = ()
    """What the placeholders in the prompt stand for, in ascending order."""
    features: FeatureReader | None = None
    """Reads `media`; None where there is none."""
    num_cached_tokens: int = 0
    """Tokens of the prompt whose latents were found, not computed."""
    num_computed: int = 0
    pages: list[int] = field(default_factory=list)
    is_closed: bool = False

    @property
    def num_uncomputed(self) -> int:
        return len(self.token_ids) - self.num_computed

    def identity_ids(self, num_tokens: int) -> list[int]:
        """What the first `num_tokens` tokens are compared by: their ids, but for placeholders what they stand for."""
        return identity_ids(self.token_ids[:num_tokens], self.media)

    def pages_wanted(self, num_tokens: int) -> int:
        """How many more pages it takes to compute the next `num_tokens` tokens."""
        return max(0, pages_for(self.num_computed + num_tokens) - len(self.pages))

    def slot(self, position: int) -> int:
        """The row of every layer's pages that holds the token at `position`."""
        return self.pages[position // PAGE_SIZE] * PAGE_SIZE + position % PAGE_SIZE
