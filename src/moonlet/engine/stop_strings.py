"""Stop strings in a stream of text that is cut anywhere."""

from __future__ import annotations


class StopStrings:
    """Lets text through up to the first stop string; text that may yet become one is held back.

    The string completed first wins, the longest of those completed by the same character; so the outcome does not
    depend on how the text was cut into tokens.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._held = ""
        self.matched: str | None = None

    def push(self, text: str) -> str:
        """The part of the text that is certainly before any stop string. Nothing after a match."""
        if not self._stop:
            return text
        if self.matched is not None:
            return ""
        text = self._held + text
        matches = [(text.find(stop) + len(stop), -len(stop), stop) for stop in self._stop if stop in text]
        if matches:
            end, _, self.matched = min(matches)
            self._held = ""
            return text[: end - len(self.matched)]
        num_held = max(_open_suffix(text, stop) for stop in self._stop)
        cut = len(text) - num_held
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """The end of the text: what was held back did not become a stop string."""
        held, self._held = self._held, ""
        return held


def _open_suffix(text: str, stop: str) -> int:
    """The length of the longest end of `text` with which `stop` begins, shorter than `stop` itself."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
