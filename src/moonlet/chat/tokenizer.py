"""Text to token ids and back, by the published byte-pair vocabulary (the merging itself is tiktoken's).

Two kinds of text never mix: `encode` is for text from outside, where "<|im_end|>" is ten ordinary characters;
`encode_with_specials` is for text we or a trusted caller wrote. `encode_pieces` is what both, and the chat template,
come down to: stretches of plain text with special ids between them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import tiktoken

from moonlet.chat.splitting import SPLIT_PATTERN, cut_positions, join_surrogates
from moonlet.chat.tokenizer_files import CONFIG_FILE, TokenizerFiles, read_tokenizer_files
from moonlet.errors import CheckpointError, PromptError

# The names the dialect is written with; a vocabulary that lacks one cannot hold a conversation of this family.
IM_END = "<|im_end|>"
MEDIA_PAD = "<|media_pad|>"
THINK, END_THINK = "<think>", "</think>"
SECTION_BEGIN, SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL_BEGIN, ARGUMENT_BEGIN, CALL_END = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
_REQUIRED = (
    IM_END, "<|im_user|>", "<|im_assistant|>", "<|im_system|>", "<|im_middle|>",
    SECTION_BEGIN, SECTION_END, CALL_BEGIN, ARGUMENT_BEGIN, CALL_END,
)  # fmt: skip


class Tokenizer:
    """The vocabulary of one checkpoint. Immutable after construction, so threads may share it."""

    def __init__(self, files: TokenizerFiles, source: Path | str = CONFIG_FILE) -> None:
        """`source` names the special tokens' origin in errors. Raises CheckpointError where the dialect lacks one."""
        missing = [name for name in _REQUIRED if name not in files.special_ids]
        if missing:
            raise CheckpointError(
                f"{source}: no special token {missing[0]} ({len(missing)} of {len(_REQUIRED)} missing); "
                "expected the special tokens of the Kimi K2 family"
            )
        self.special_ids: Mapping[str, int] = MappingProxyType(dict(files.special_ids))
        self.vocab_size = len(files.ranks) + len(files.special_ids)
        self.bos_token, self.bos_id = files.bos_token, self.special_ids[files.bos_token]
        self.eos_token, self.eos_id = files.eos_token, self.special_ids[files.eos_token]
        self.pad_token, self.pad_id = files.pad_token, self.special_ids[files.pad_token]
        self.unk_token, self.unk_id = files.unk_token, self.special_ids[files.unk_token]
        self.im_end_id = self.special_ids[IM_END]
        # Kimi K2 neither sees nor thinks, and names none of these; K2-Thinking and K2.5 do.
        self.media_pad_id = self.special_ids.get(MEDIA_PAD)
        self.think_id = self.special_ids.get(THINK)
        self.end_think_id = self.special_ids.get(END_THINK)
        # K2.5 ends a turn with <|im_end|>; its own config names [EOS], and both have been seen to end a reply.
        self.stop_ids = frozenset({self.im_end_id, self.eos_id})
        self._bpe = tiktoken.Encoding(
            "kimi_k25", pat_str=SPLIT_PATTERN, mergeable_ranks=dict(files.ranks), special_tokens={}
        )
        self._token_bytes = _bytes_by_id(files)
        # Longest name first: where one name begins another, the longer one is meant.
        names = sorted(self.special_ids, key=len, reverse=True)
        self._special_pattern = re.compile("|".join(map(re.escape, names)))
        self._special_names = {token_id: name for name, token_id in self.special_ids.items()}

    @classmethod
    def from_dir(cls, model_dir: Path) -> Tokenizer:
        """Read `tiktoken.model` and `tokenizer_config.json`. Raises CheckpointError naming file and fault."""
        model_dir = Path(model_dir)
        return cls(read_tokenizer_files(model_dir), source=model_dir / CONFIG_FILE)

    def encode(self, text: str) -> list[int]:
        """Ids of text from outside: a special token spelt in it stays plain text. Linear in the length of `text`."""
        return self.encode_pieces([text])

    def encode_with_specials(self, text: str) -> list[int]:
        """Ids of trusted text: a special token spelt in it becomes that token."""
        return self.encode_pieces(self.split_specials(text))

    def split_specials(self, text: str) -> list[str | int]:
        """`text` as plain stretches (str) and the special tokens spelt in it (their ids), in order."""
        pieces: list[str | int] = []
        position = 0
        for match in self._special_pattern.finditer(text):
            if match.start() > position:
                pieces.append(text[position : match.start()])
            pieces.append(self.special_ids[match.group()])
            position = match.end()
        if position < len(text):
            pieces.append(text[position:])
        return pieces

    def encode_pieces(self, pieces: Iterable[str | int]) -> list[int]:
        """Ids of a text given as plain stretches (str, never a special token) and special tokens (int).

        Long text is cut where the official tokenizer cuts the same text in one piece (splitting.py); a cut that would
        fall inside a special token is left out, since it would turn the token into text.
        """
        return [token_id for ids in self.encode_each(pieces) for token_id in ids]

    def encode_each(self, pieces: Iterable[str | int]) -> list[list[int]]:
        """The ids of each piece of a text, which joined are those of `encode_pieces`."""
        valid = [join_surrogates(piece) if isinstance(piece, str) else piece for piece in pieces]
        cuts = cut_positions("".join(p if isinstance(p, str) else self._special_names[p] for p in valid))
        encoded: list[list[int]] = []
        start = 0
        for piece in valid:
            if isinstance(piece, int):
                encoded.append([piece])
                start += len(self._special_names[piece])
                continue
            ids: list[int] = []
            for stretch in _cut(piece, start, cuts):
                ids += self._bpe.encode_ordinary(stretch)
            encoded.append(ids)
            start += len(piece)
        return encoded

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`; special tokens give their names. Raises PromptError for an id outside the vocabulary."""
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that are not UTF-8 become U+FFFD. For a stream of tokens use Detokenizer."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one token, which may be a part of a character."""
        if not 0 <= token_id < self.vocab_size:
            raise PromptError(f"token id {token_id}: expected 0 to {self.vocab_size - 1}, the ids of this vocabulary")
        return self._token_bytes[token_id]


def _bytes_by_id(files: TokenizerFiles) -> Sequence[bytes]:
    table = [b""] * (len(files.ranks) + len(files.special_ids))
    for token, rank in files.ranks.items():
        table[rank] = token
    for name, token_id in files.special_ids.items():
        table[token_id] = name.encode()
    return table


def _cut(piece: str, start: int, cuts: Sequence[int]) -> Iterable[str]:
    """`piece`, which begins at `start` of the whole text, cut at those of the ascending `cuts` that fall inside it."""
    position = 0
    for cut in cuts[bisect_right(cuts, start) :]:
        if cut - start >= len(piece):
            break
        yield piece[position : cut - start]
        position = cut - start
    yield piece[position:]
