"""The tokenizer inside a GGUF file, as ranks and special tokens, and back.

The file spells every token of the byte-pair vocabulary in GPT-2's printable alphabet (a byte is a character), gives
each a type, and lists the merges. A merge's place in the list is its priority, which is the rank of the token it
makes, so the published ranks come back from the tokens alone; the merges are checked to agree.
Source: conversion/deepseek.py of llama.cpp, and the GPT-2 encoder for the alphabet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moonlet.checkpoint.gguf.metadata import Metadata
from moonlet.config.json_file import one_line
from moonlet.errors import CheckpointError

SPLIT_NAMES = ("kimi-k2", "kimi-k25")
"""Names llama.cpp has for the split pattern of Kimi K2 and K2.5."""
NORMAL, CONTROL, BYTE = 1, 3, 6


@dataclass(frozen=True, slots=True)
class GgufTokenizer:
    """ranks: token bytes to id, 0 to n - 1.  special_ids: name to id, the ids from n on; together they are all ids.

    The named tokens are keys of `special_ids`.  chat_template: Jinja source, or None.
    """

    ranks: Mapping[bytes, int]
    special_ids: Mapping[str, int]
    bos_token: str
    eos_token: str
    pad_token: str
    unk_token: str
    chat_template: str | None


def read_tokenizer(metadata: Metadata) -> GgufTokenizer:
    """Take the tokenizer out of a file's metadata. Raises CheckpointError naming file and fault."""
    for key, expected in (("model", ("gpt2",)), ("pre", SPLIT_NAMES)):
        found = metadata.string(f"tokenizer.ggml.{key}")
        if found not in expected:
            raise CheckpointError(
                f"{metadata.name(f'tokenizer.ggml.{key}')} is {one_line(repr(found), 60)}, "
                f"expected {' or '.join(expected)}"
            )
    tokens = metadata.strings("tokenizer.ggml.tokens")
    types = metadata.integers("tokenizer.ggml.token_type")
    if len(tokens) != len(types):
        raise CheckpointError(f"{metadata.file_name}: {len(tokens):,} tokens but {len(types):,} token types")
    num_ranks = next((i for i, kind in enumerate(types) if kind not in (NORMAL, BYTE)), len(types))
    ranks = _ranks(metadata, tokens[:num_ranks])
    special_ids: dict[str, int] = {}
    for token_id in range(num_ranks, len(tokens)):
        # Whatever comes after the first special token is one too: some files call the tool and thinking marks normal.
        name = tokens[token_id]
        if not name or special_ids.setdefault(name, token_id) != token_id:
            raise CheckpointError(f"{metadata.file_name}: special token {token_id} has an empty or repeated name")
    _check_merges(metadata, ranks)
    template = "tokenizer.chat_template"

    def named(key: str, *defaults: str) -> str:
        full = f"tokenizer.ggml.{key}_token_id"
        if not metadata.has(full):
            found = [name for name in defaults if name in special_ids]
            if not found:
                raise CheckpointError(f"{metadata.name(full)} is missing, and no special token is {defaults[0]}")
            return found[0]
        token_id = metadata.integer(full)
        if not num_ranks <= token_id < len(tokens):
            raise CheckpointError(f"{metadata.name(full)} is {token_id}, expected the id of a special token")
        return tokens[token_id]

    bos, eos = named("bos", "[BOS]"), named("eos", "[EOS]")
    return GgufTokenizer(
        ranks=ranks,
        special_ids=special_ids,
        bos_token=bos,
        eos_token=eos,
        pad_token=named("padding", "[PAD]", eos),
        unk_token=named("unknown", "[UNK]", eos),
        chat_template=metadata.string(template) if metadata.has(template) else None,
    )


def _ranks(metadata: Metadata, tokens: tuple[str, ...]) -> dict[bytes, int]:
    alphabet = {char: byte for byte, char in enumerate(_alphabet())}
    ranks: dict[bytes, int] = {}
    for rank, token in enumerate(tokens):
        try:
            piece = bytes([alphabet[char] for char in token])
        except KeyError as cause:
            raise CheckpointError(
                f"{metadata.file_name}: token {rank} holds {cause.args[0]!r}, which stands for no byte; "
                "expected a byte-level vocabulary"
            ) from None
        if not piece or ranks.setdefault(piece, rank) != rank:
            raise CheckpointError(f"{metadata.file_name}: token {rank} is empty or occurs twice")
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise CheckpointError(
            f"{metadata.file_name}: no token for the single byte 0x{missing[0]:02x} ({len(missing)} of 256 missing), "
            "so some text could not be encoded"
        )
    return ranks


def _check_merges(metadata: Metadata, ranks: Mapping[bytes, int]) -> None:
    """The merges must make known tokens in ascending rank, or merging by rank would give other ids."""
    alphabet = {char: byte for byte, char in enumerate(_alphabet())}
    last = -1
    for number, merge in enumerate(metadata.strings("tokenizer.ggml.merges")):
        joined = merge.replace(" ", "", 1)
        rank = ranks.get(bytes([alphabet.get(char, 0) for char in joined]), -1)
        if rank <= last:
            raise CheckpointError(
                f"{metadata.file_name}: merge {number} ({one_line(merge, 40)!r}) makes no token of higher rank than "
                "the merge before; the vocabulary is not the published one"
            )
        last = rank


def tokenizer_metadata(
    tokenizer: GgufTokenizer, stop_ids: Sequence[int]
) -> dict[str, bool | int | str | list[str] | list[int]]:
    """The metadata that says what `tokenizer` says; `read_tokenizer` of it gives the same.

    stop_ids: the config's end-of-sequence ids. The first that is not the tokenizer's own is written as the end of a
    turn: K2.5 stops on <|im_end|> although its tokenizer names [EOS].
    """
    alphabet = _alphabet()

    def spell(token: bytes) -> str:
        return "".join(alphabet[byte] for byte in token)

    tokens = [""] * (len(tokenizer.ranks) + len(tokenizer.special_ids))
    merges: list[str] = []
    for token, rank in sorted(tokenizer.ranks.items(), key=lambda item: item[1]):
        tokens[rank] = spell(token)
        halves = _last_merge(tokenizer.ranks, token, rank)
        if halves is not None:
            merges.append(" ".join(map(spell, halves)))
    for name, token_id in tokenizer.special_ids.items():
        tokens[token_id] = name
    found: dict[str, bool | int | str | list[str] | list[int]] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": SPLIT_NAMES[0],
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [NORMAL] * len(tokenizer.ranks) + [CONTROL] * len(tokenizer.special_ids),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": tokenizer.special_ids[tokenizer.bos_token],
        "tokenizer.ggml.eos_token_id": tokenizer.special_ids[tokenizer.eos_token],
        "tokenizer.ggml.padding_token_id": tokenizer.special_ids[tokenizer.pad_token],
        "tokenizer.ggml.unknown_token_id": tokenizer.special_ids[tokenizer.unk_token],
        # The template writes every token of a conversation, and K2.5's begins without [BOS].
        "tokenizer.ggml.add_bos_token": False,
    }
    turn_ends = [token_id for token_id in stop_ids if token_id != tokenizer.special_ids[tokenizer.eos_token]]
    if turn_ends:
        found["tokenizer.ggml.eot_token_id"] = turn_ends[0]
    if tokenizer.chat_template:
        found["tokenizer.chat_template"] = tokenizer.chat_template
    return found


def _last_merge(ranks: Mapping[bytes, int], token: bytes, rank: int) -> tuple[bytes, bytes] | None:
    """The two tokens whose merge makes `token`: its bytes merged by all lower ranks.

    None for a single byte, and for a token that merging never reaches.
    """
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        best, at = rank, -1
        for i in range(len(parts) - 1):
            found = ranks.get(parts[i] + parts[i + 1], rank)
            if found < best:
                best, at = found, i
        if at < 0:
            return None
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return (parts[0], parts[1]) if len(parts) == 2 else None


def _alphabet() -> str:
    """GPT-2's character for each byte: printable Latin-1 for itself, the others from U+0100 on in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return "".join(chr(byte) if byte in printable else chr(next(spare)) for byte in range(256))
