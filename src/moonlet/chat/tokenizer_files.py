"""The tokenizer as published: `tiktoken.model` (bytes and their rank) and `tokenizer_config.json` (special tokens).

`tiktoken.model` holds one token a line, `BASE64 RANK`; ranks run from 0 without a gap and are the token ids. The
`NUM_RESERVED_SPECIALS` ids after the last rank are special tokens. Some have a name in `added_tokens_decoder`; the
official class calls the others `<|reserved_token_ID|>`, ID being the token id.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moonlet.errors import CheckpointError

RANKS_FILE = "tiktoken.model"
CONFIG_FILE = "tokenizer_config.json"
NUM_RESERVED_SPECIALS = 256

# K2.5's file is 2.8 MB; a file far beyond that is not a vocabulary and is refused before it is read.
_MAX_FILE_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """Both files, read and checked. `special_ids` names every id in [len(ranks), len(ranks) + 256)."""

    ranks: Mapping[bytes, int]
    special_ids: Mapping[str, int]
    bos_token: str
    eos_token: str
    pad_token: str
    unk_token: str


def read_tokenizer_files(model_dir: Path) -> TokenizerFiles:
    """Read and check the tokenizer of `model_dir`. Raises CheckpointError naming the file and what is wrong in it."""
    ranks = read_ranks(model_dir / RANKS_FILE)
    path = model_dir / CONFIG_FILE
    config = read_json_object(path)
    special_ids = _special_ids(path, config, first_id=len(ranks))
    return TokenizerFiles(
        ranks=ranks,
        special_ids=special_ids,
        bos_token=_named_special(path, config, "bos_token", "[BOS]", special_ids),
        eos_token=_named_special(path, config, "eos_token", "[EOS]", special_ids),
        pad_token=_named_special(path, config, "pad_token", "[PAD]", special_ids),
        unk_token=_named_special(path, config, "unk_token", "[UNK]", special_ids),
    )


def read_ranks(path: Path) -> dict[bytes, int]:
    """`tiktoken.model` as token bytes -> rank: every single byte is a token, and the ranks are 0 to n-1, each once."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(_read_file(path).splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            encoded, rank_text = fields
            token, rank = base64.b64decode(encoded, validate=True), int(rank_text)
        except (ValueError, binascii.Error):
            raise CheckpointError(
                f"{path}: line {number} is {_excerpt(line)}, expected 'BASE64 RANK'; "
                "the file may be damaged, fetch it again"
            ) from None
        if not token or token in ranks:
            problem = "an empty token" if not token else f"the token {token!r} a second time"
            raise CheckpointError(f"{path}: line {number} holds {problem}; the file may be damaged, fetch it again")
        ranks[token] = rank
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise CheckpointError(
            f"{path}: {len(ranks)} tokens, but their ranks are not 0 to {len(ranks) - 1} each once; "
            "the file may be cut short, fetch it again"
        )
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise CheckpointError(
            f"{path}: no token for the single byte 0x{missing[0]:02x} ({len(missing)} of 256 missing), "
            "so some text could not be encoded; the file may be cut short, fetch it again"
        )
    return ranks


def read_json_object(path: Path) -> Mapping[str, Any]:
    """A JSON file whose top is an object. Raises CheckpointError naming the file."""
    try:
        value = json.loads(_read_file(path).decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON ({error}); fetch it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: holds a {type(value).__name__}, expected a JSON object")
    return value


def _special_ids(path: Path, config: Mapping[str, Any], first_id: int) -> dict[str, int]:
    added = config.get("added_tokens_decoder")
    if not isinstance(added, dict):
        raise CheckpointError(f"{path}: no object 'added_tokens_decoder', which names the special tokens")
    names: dict[int, str] = {}
    for key, entry in added.items():
        name = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise CheckpointError(f"{path}: added_tokens_decoder[{key!r}] has no text 'content'")
        token_id = int(key) if key.isascii() and key.isdigit() else -1
        if not first_id <= token_id < first_id + NUM_RESERVED_SPECIALS:
            raise CheckpointError(
                f"{path}: added_tokens_decoder names {name!r} as id {key}, expected an id in "
                f"{first_id} to {first_id + NUM_RESERVED_SPECIALS - 1}, the {NUM_RESERVED_SPECIALS} ids after the "
                f"{first_id} ranks of {RANKS_FILE}; the two files may belong to different models"
            )
        names[token_id] = name
    special_ids: dict[str, int] = {}
    for token_id in range(first_id, first_id + NUM_RESERVED_SPECIALS):
        name = names.get(token_id, f"<|reserved_token_{token_id}|>")
        if name in special_ids:
            raise CheckpointError(f"{path}: {name!r} is the name of both id {special_ids[name]} and id {token_id}")
        special_ids[name] = token_id
    return special_ids


def _named_special(
    path: Path, config: Mapping[str, Any], key: str, default: str, special_ids: Mapping[str, int]
) -> str:
    value = config.get(key) or default
    name = value.get("content") if isinstance(value, dict) else value
    if not isinstance(name, str) or name not in special_ids:
        raise CheckpointError(f"{path}: {key} is {name!r}, which added_tokens_decoder does not name")
    return name


def _read_file(path: Path) -> bytes:
    try:
        num_bytes = path.stat().st_size
        if num_bytes > _MAX_FILE_BYTES:
            raise CheckpointError(f"{path}: {num_bytes} bytes, expected at most {_MAX_FILE_BYTES}")
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; a checkpoint needs {RANKS_FILE} and {CONFIG_FILE}") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None


def _excerpt(line: bytes) -> str:
    text = line[:40].decode("utf-8", "replace")
    return repr(text + ("..." if len(line) > 40 else ""))
