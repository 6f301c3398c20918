"""The rules of this server that bear on reading a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from moonlet.engine.params import SamplingParams

ParamPolicy = Literal["open", "vendor"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What parsers need to know.

    default_sampling: what applies where a request says nothing, by whether it thinks.  vocab_size: ids a bias may name.
    preserve_thinking: whether a request may ask for it.  max_output_tokens: a limit on every reply.
    """

    default_sampling: Callable[[bool], SamplingParams]
    vocab_size: int
    param_policy: ParamPolicy = "open"
    preserve_thinking: bool = False
    max_output_tokens: int | None = None

    def limited(self, max_tokens: int | None) -> int | None:
        """The most tokens a reply may have; None for what the context leaves. A wish is cut, never refused."""
        wishes = [limit for limit in (max_tokens, self.max_output_tokens) if limit is not None]
        return min(wishes) if wishes else None
