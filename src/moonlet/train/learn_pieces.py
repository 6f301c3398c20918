"""How the vocabulary's whole pieces were chosen; run once, then frozen in `pieces.json`.

Retraining must not depend on today's tasks: a vocabulary that changed with them could not read old checkpoints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import regex  # type: ignore[import-untyped]  # tiktoken depends on it

from moonlet.chat.splitting import SPLIT_PATTERN

NUM_PIECES = 512


def learn_pieces(
    texts: Iterable[str], required: Iterable[str], excluded: frozenset[str], count: int = NUM_PIECES
) -> list[str]:
    """Choose `count` whole pieces: all `required`, then the most bytes saved over `texts`.

    excluded: lower-case words to keep spelt out in letters.
    Two-byte pieces made of letters are left out: they could merge inside other words.
    """
    pattern = regex.compile(SPLIT_PATTERN, flags=regex.VERSION1)
    counts: Counter[str] = Counter(piece for text in texts for piece in pattern.findall(text))

    def allowed(piece: str) -> bool:
        size = len(piece.encode())
        has_letter = any(char.isalpha() for char in piece)
        if regex.fullmatch(r"\W?\w's", piece):  # "r's": the counted letter must stay visible
            return False
        if size < 2 or any(char.isdigit() for char in piece) or (size == 2 and has_letter) or not piece.isascii():
            return False
        letters = "".join(char for char in piece if char.isalpha()).lower()
        return letters not in excluded

    chosen = list(dict.fromkeys(piece for piece in required if allowed(piece)))
    by_saving = sorted(counts, key=lambda piece: (-counts[piece] * (len(piece.encode()) - 1), piece))
    chosen += [piece for piece in by_saving if allowed(piece) and piece not in set(chosen)]
    return sorted(chosen[:count], key=lambda piece: (len(piece), piece))
