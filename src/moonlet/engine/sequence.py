"""One request's tokens, and the pages that hold the latents of those the model has seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from moonlet.cache import PAGE_SIZE, PageNode, pages_for
from moonlet.engine.features import FeatureReader


@dataclass(slots=True, eq=False)
class Sequence:
    """Prompt and output in one list; `pages` in the order of the tokens they hold.

    The first `num_computed` tokens have their latents in the cache. What lies between them and the end waits for
    forward passes: a prompt, what was given up by a preemption, or the one token sampled last.

    The first `num_shared` pages belong to the prefix tree and are full; `node` is the last of them. The rest is the
    sequence's own.
    """

    token_ids: list[int]
    num_prompt_tokens: int
    identity_ids: list[int] = field(default_factory=list)
    """What the tokens are compared by: their ids, and where a placeholder stands for media, a negative number made from
    what it stands for. The ids if not given."""
    features: FeatureReader | None = None
    """Reads the media among the prompt's placeholders; None where there are none."""
    num_cached_tokens: int = 0
    """Tokens of the prompt whose latents were found, not computed, when it was first read."""
    is_first_reading: bool = True
    """Until it is preempted: what is found after that was computed for it before."""
    prompt_logits_from: int | None = None
    """The first position whose logits are still wanted to score the prompt; None where none are."""
    max_scored: int = 1
    """Tokens that a step computes at most while they are wanted."""
    is_read_ahead: bool = False
    """Whether the disk knows which of its pages come next."""
    num_computed: int = 0
    pages: list[int] = field(default_factory=list)
    num_shared: int = 0
    node: PageNode | None = None

    def __post_init__(self) -> None:
        if not self.identity_ids:
            self.identity_ids = list(self.token_ids)
        assert len(self.identity_ids) == len(self.token_ids)

    @property
    def num_uncomputed(self) -> int:
        return len(self.token_ids) - self.num_computed

    @property
    def num_readable(self) -> int:
        """How many tokens the next step may compute at most."""
        return self.num_uncomputed if self.prompt_logits_from is None else min(self.num_uncomputed, self.max_scored)

    @property
    def num_findable(self) -> int:
        """Leading tokens of which the latents are enough: no logits are wanted after them."""
        last = len(self.token_ids) - 1
        return last if self.prompt_logits_from is None else min(last, self.prompt_logits_from)

    @property
    def num_own_tokens(self) -> int:
        """Computed tokens behind the shared pages."""
        return self.num_computed - self.num_shared * PAGE_SIZE

    def advance(self, num_tokens: int) -> None:
        """Count the next `num_tokens` as computed."""
        self.num_computed += num_tokens
        if self.prompt_logits_from is not None:
            position = max(self.prompt_logits_from, self.num_computed)
            # Those of the prompt's last token choose the reply's first.
            self.prompt_logits_from = position if position < self.num_prompt_tokens - 1 else None

    def append(self, token_id: int) -> None:
        """Add a sampled token."""
        self.token_ids.append(token_id)
        self.identity_ids.append(token_id)

    def page_ids(self, page_idx: int) -> tuple[int, ...]:
        """The identity ids of one page, fewer than 64 for the last."""
        return tuple(self.identity_ids[page_idx * PAGE_SIZE : (page_idx + 1) * PAGE_SIZE])

    def pages_wanted(self, num_tokens: int) -> int:
        """How many more pages it takes to compute the next `num_tokens` tokens."""
        return max(0, pages_for(self.num_computed + num_tokens) - len(self.pages))

    def slot(self, position: int) -> int:
        """The row of every layer's pages that holds the token at `position`."""
        return self.pages[position // PAGE_SIZE] * PAGE_SIZE + position % PAGE_SIZE
