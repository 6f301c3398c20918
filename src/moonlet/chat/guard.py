"""Keeps text from outside from ever spelling a special token in a rendered prompt.

A chat template joins its own markers and the user's text into one string, in which both look alike. So before rendering
every character that begins or ends a special token is replaced, in text from outside, by a private-use character that
occurs nowhere in the input; after rendering the markers are found and then the characters are put back. A marker found
therefore began and ended in the template's own text, even where the template joins several pieces of outside text.

The replacement is one character for one, so lengths, trimming, comparing and joining in the template work as before. A
template that searches the text of messages for special tokens will not find any: that is the point.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from moonlet.errors import PromptError

# Supplementary private-use plane 15: no meaning, no case, no whitespace, untouched by every string operation.
_FIRST, _COUNT = 0xF0000, 0xFFFE
_MAX_GUESSES = 20
_MAX_DEPTH = 128


class Guard:
    """Replaces the risky characters of one prompt's outside text. Made anew for every rendering."""

    def __init__(self, markers: Iterable[str], outside: Iterable[Any]) -> None:
        """`markers`: the strings that must not form. `outside`: all values whose text will be protected.

        Raises PromptError if the text leaves too few private-use characters unused.
        """
        texts = [text for value in outside for text in _texts(value)]
        risky = sorted({end for marker in markers for end in (marker[0], marker[-1])})
        stand_ins: dict[str, str] = {}
        for character in risky:
            stand_ins[character] = _unused(texts, stand_ins.values())
        self._protect: Mapping[str, str] = stand_ins
        self._restore = {stand_in: character for character, stand_in in stand_ins.items()}
        self._escapes = {json.dumps(stand_in)[1:-1]: stand_in for stand_in in stand_ins.values()}

    def protect(self, value: Any) -> Any:
        """`value` (text, or lists and objects of it) with every risky character replaced, keys included."""
        if isinstance(value, str):
            return _translate(value, self._protect)
        if isinstance(value, Mapping):
            return {self.protect(key): self.protect(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.protect(item) for item in value]
        return value

    def restore(self, text: str) -> str:
        """Rendered text with the risky characters put back."""
        return _translate(text, self._restore)

    def unescape(self, dumped: str) -> str:
        """JSON text in which an ASCII-only encoder escaped the stand-ins, with the stand-ins as themselves again."""
        for escape, stand_in in self._escapes.items():
            dumped = dumped.replace(escape, stand_in)
        return dumped


def _translate(text: str, table: Mapping[str, str]) -> str:
    # str.translate is slow outside ASCII, and there are only a handful of characters to replace.
    for character, replacement in table.items():
        text = text.replace(character, replacement)
    return text


def _texts(value: Any, depth: int = 0) -> Iterable[str]:
    if depth > _MAX_DEPTH:
        raise PromptError(f"a tool or template option is nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key, depth + 1)
            yield from _texts(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, depth + 1)


def _unused(texts: list[str], taken: Iterable[str]) -> str:
    """A private-use character that no text holds."""
    taken = set(taken)
    for _ in range(_MAX_GUESSES):
        candidate = chr(_FIRST + secrets.randbelow(_COUNT))
        if candidate not in taken and not any(candidate in text for text in texts):
            return candidate
    # Only a text made for it gets here. Guessing was merely the cheap way.
    taken.update(*texts)
    free = [code for code in range(_FIRST, _FIRST + _COUNT) if chr(code) not in taken]
    if not free:
        raise PromptError(
            "messages: the text uses every private-use character of Unicode; it cannot be rendered safely"
        )
    return chr(secrets.choice(free))
