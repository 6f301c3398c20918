"""K25-nano's vocabulary, in the published tiktoken format.

768 ordinary ranks, then the 256 special ids of Kimi K2.5 in their published order. The first 256 ranks are the single
bytes. The other 512 are *whole pieces* of the published split pattern: frequent words of prompts and answers, each with
its leading space. There are no merges inside other words, because a whole piece is looked up before any merging starts.
So a word is either one token or plain letters, and spelling, reversing and counting see every letter. No piece
contains a digit: numbers are single digits.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from importlib import resources

import tiktoken

from moonlet.chat.splitting import SPLIT_PATTERN

NUM_SPECIAL = 256
OFFICIAL_FIRST_SPECIAL = 163584

# Official ids of the named specials; the rest of the 256 are reserved.
OFFICIAL_SPECIALS: dict[str, int] = {
    "[BOS]": 163584,
    "[EOS]": 163585,
    "<|im_end|>": 163586,
    "<|im_user|>": 163587,
    "<|im_assistant|>": 163588,
    "<|start_header_id|>": 163590,
    "<|end_header_id|>": 163591,
    "[EOT]": 163593,
    "<|im_system|>": 163594,
    "<|tool_calls_section_begin|>": 163595,
    "<|tool_calls_section_end|>": 163596,
    "<|tool_call_begin|>": 163597,
    "<|tool_call_argument_begin|>": 163598,
    "<|tool_call_end|>": 163599,
    "<|im_middle|>": 163601,
    "<|media_begin|>": 163602,
    "<|media_content|>": 163603,
    "<|media_end|>": 163604,
    "<|media_pad|>": 163605,
    "<think>": 163606,
    "</think>": 163607,
    "[UNK]": 163838,
    "[PAD]": 163839,
}
# Not "special" in the published file: decoding with skip_special_tokens keeps them.
PLAIN_SPECIALS = frozenset(
    (
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
        "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        "<think>",
        "</think>",
    )
)


class Vocabulary:
    """Text to ids and back. Special tokens come only from `special`, never from text."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        ranked = [bytes([value]) for value in range(256)] + list(pieces)
        self.ranks: dict[bytes, int] = {token: rank for rank, token in enumerate(ranked)}
        self.first_special = len(ranked)
        self.specials = {
            name: self.first_special + official - OFFICIAL_FIRST_SPECIAL for name, official in OFFICIAL_SPECIALS.items()
        }
        self._encoding = tiktoken.Encoding(
            "k25-nano", pat_str=SPLIT_PATTERN, mergeable_ranks=self.ranks, special_tokens=self.specials
        )

    @property
    def size(self) -> int:
        return self.first_special + NUM_SPECIAL

    def special(self, name: str) -> int:
        return self.specials[name]

    def encode(self, text: str) -> list[int]:
        return self._encoding.encode_ordinary(text)

    def decode(self, ids: list[int]) -> str:
        return self._encoding.decode(ids)

    def tiktoken_model(self) -> bytes:
        """The published file format: one base64 token and its rank a line."""
        lines = (base64.b64encode(token) + b" " + str(rank).encode() for token, rank in self.ranks.items())
        return b"\n".join(lines) + b"\n"


def nano_vocabulary() -> Vocabulary:
    """The frozen vocabulary of the shipped model, from `pieces.json`."""
    text = resources.files("moonlet.train").joinpath("pieces.json").read_text(encoding="utf-8")
    return Vocabulary(piece.encode() for piece in json.loads(text))
