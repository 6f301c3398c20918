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

    def field(self, items: Sequence[TokenLogprob]) -> dict[str, Any]:
        """The next tokens."""
        tokens, offsets = [], []
        for item in items:
            text = item.token_bytes.decode("utf-8", "replace")
            tokens.append(text)
            offsets.append(self._offset)
            self._offset += len(text)
        return {
            "tokens": tokens,
            "token_logprobs": [item.logprob for item in items],
            "top_logprobs": [_top(item) for item in items],
            "text_offset": offsets,
        }


def _top(item: TokenLogprob) -> dict[str, float]:
    return {other.token_bytes.decode("utf-8", "replace"): other.logprob for other in item.top}
