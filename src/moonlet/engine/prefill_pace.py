"""How many prompt tokens a step may read while replies are being written."""

from __future__ import annotations

MAX_STRETCH = 3.0
"""A step that reads prompts beside replies may take this many times the time of one without. Larger chunks read prompts
faster (each expert's weights are read once a chunk); smaller ones keep replies flowing. Changes no result."""
_FIRST_GUESS_TOKENS = 16
_MEMORY = 0.8
"""Share of the old in a running mean: a step's time wanders with the experts it happens to need."""


class PrefillPace:
    """Learns from the steps taken what a prompt token costs beside a step of decoding."""

    def __init__(self, chunk_size: int) -> None:
        """chunk_size: prompt tokens of a step in any case at most, and of one that nobody is waiting for."""
        self._chunk_size = chunk_size
        self._decode_s: float | None = None
        self._prompt_token_s: float | None = None

    def budget(self, num_decoding: int) -> int:
        """Prompt tokens the next step may read beside `num_decoding` replies; at least one."""
        if num_decoding == 0:
            return self._chunk_size
        if self._decode_s is None or self._prompt_token_s is None:
            return min(_FIRST_GUESS_TOKENS, self._chunk_size)
        room_s = (MAX_STRETCH - 1) * self._decode_s
        # A measured cost can come out as nothing; twice the last size is then enough to learn more.
        affordable = room_s / max(self._prompt_token_s, room_s / self._chunk_size)
        return max(1, min(self._chunk_size, int(affordable)))

    def record(self, num_decoding: int, num_prompt_tokens: int, seconds: float) -> None:
        """A step that took `seconds` with so many replies and prompt tokens in it."""
        if num_prompt_tokens == 0:
            self._decode_s = _blend(self._decode_s, seconds)
        elif num_decoding and self._decode_s is not None:
            beyond_s = max(0.0, seconds - self._decode_s)
            self._prompt_token_s = _blend(self._prompt_token_s, beyond_s / num_prompt_tokens)


def _blend(old: float | None, new: float) -> float:
    return new if old is None else _MEMORY * old + (1 - _MEMORY) * new
