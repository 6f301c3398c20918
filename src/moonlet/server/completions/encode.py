"""Completions to the answer of the Completions API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moonlet.engine.result import TokenLogprob


def choice(index: int, text: str, finish_reason: str | None, logprobs: dict[str, Any] | None) -> dict[str, Any]:
    """One continuation, or a piece of it."""
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}


class LogprobWriter:
    """Log-probabilities in the form of this API, `text_offset` counting on from call to call."""

    def __init__(self) -> None:
        self._offset = 0

    def field(self, items: Sequence[TokenLogprob], *, first: bytes | None = None) -> dict[str, Any]:
        """The next tokens. first: one before them that follows nothing, so that there is nothing to say of it."""
        tokens, offsets = [], []
        for token_bytes in ([] if first is None else [first]) + [item.token_bytes for item in items]:
            text = token_bytes.decode("utf-8", "replace")
            tokens.append(text)
            offsets.append(self._offset)
            self._offset += len(text)
        unknown = [] if first is None else [None]
        return {
            "tokens": tokens,
            "token_logprobs": [*unknown, *(item.logprob for item in items)],
            "top_logprobs": [*unknown, *map(_top, items)],
            "text_offset": offsets,
        }


def _top(item: TokenLogprob) -> dict[str, float]:
    top: dict[str, float] = {}
    for other in item.top:
        # Pieces of characters look alike as text; the most probable one stands for them.
        top.setdefault(other.token_bytes.decode("utf-8", "replace"), other.logprob)
    return top
