"""The seam for constrained decoding: which tokens may come next."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

TokenMask = npt.NDArray[np.uint32]
"""One bit a token, [ceil(vocab_size / 32)] uint32: token i is bit i % 32 of word i // 32; a set bit allows it."""


class TokenConstraint(Protocol):
    """A grammar, a schema or a rule that follows one reply from its first token. Used by one request, once.

    The engine's thread asks `fill_mask` before each token is sampled and tells `accept` what was sampled, in turn. A
    request that is put aside and computed again repeats neither call. An exception ends this request alone.
    """

    def fill_mask(self, mask: TokenMask) -> bool:
        """Write the tokens allowed next into `mask`, every word of it.

        Returns False, and may leave `mask` as it is, where any token may follow: the free text of thinking costs
        nothing. The ends of a turn are tokens like any other: allow them where the reply may end.
        """
        ...

    def accept(self, token_id: int) -> None:
        """`token_id` was sampled; it is one that was allowed."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the reply ends with the token accepted last, as if the model had ended its turn."""
        ...
