"""How text is cut before byte-pair merging: K2.5's split pattern, and the cuts that keep long text linear."""

from __future__ import annotations

import re

# The published pattern (Rust regex syntax, `&&` intersects classes): a run of Han characters is one piece; words carry
# at most one leading non-letter and an English contraction; digits come in threes; then punctuation, line ends, blanks.
_NOT_HAN = r"&&[^\p{Han}]"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER = rf"[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}{_NOT_HAN}]"
_LOWER = rf"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}{_NOT_HAN}]"
SPLIT_PATTERN = "|".join(
    [
        r"[\p{Han}]+",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)

# The official tokenizer's own limits. They are part of the dialect, since a cut changes the ids around it, and they
# bound the longest piece that the pattern and the merging ever see.
MAX_CHUNK_CHARS = 400_000
MAX_RUN_CHARS = 25_000

_RUN = re.compile(r"\s+|\S+")


def cut_positions(text: str) -> list[int]:
    """Where `text` is cut before it is encoded, ascending, without 0 and the end.

    Cuts fall at each MAX_CHUNK_CHARS characters and, inside such a chunk, after each MAX_RUN_CHARS characters of a run
    of only whitespace or only non-whitespace. Time is linear in the text.
    """
    if len(text) <= MAX_RUN_CHARS:
        return []
    cuts: list[int] = []
    for start in range(0, len(text), MAX_CHUNK_CHARS):
        if start:
            cuts.append(start)
        for run in _RUN.finditer(text, start, min(start + MAX_CHUNK_CHARS, len(text))):
            cuts.extend(range(run.start() + MAX_RUN_CHARS, run.end(), MAX_RUN_CHARS))
    return cuts


def join_surrogates(text: str) -> str:
    """`text` as valid Unicode: surrogate pairs joined, a lone surrogate replaced by U+FFFD. Usually `text` itself."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
