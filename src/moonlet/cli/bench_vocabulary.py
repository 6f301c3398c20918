"""A vocabulary for a random-weight checkpoint, in the published file format, so that `chat` can run on it."""

from __future__ import annotations

import itertools
import json
import string
from pathlib import Path
from typing import Any

from moonlet.train.vocabulary import NUM_SPECIAL, PLAIN_SPECIALS, Vocabulary

_NUM_BYTES = 256
_CHARACTERS = " " + string.ascii_letters + string.digits + string.punctuation


def write_vocabulary(directory: Path, vocab_size: int) -> None:
    """Write tiktoken.model, tokenizer_config.json and generation_config.json for `vocab_size` ids.

    Ranks are the single bytes and then pairs of printable characters, as many as fit before the special tokens.
    """
    pairs = itertools.product(_CHARACTERS, repeat=2)
    pieces = itertools.islice(pairs, vocab_size - _NUM_BYTES - NUM_SPECIAL)
    vocabulary = Vocabulary("".join(pair).encode() for pair in pieces)
    assert vocabulary.size == vocab_size
    (directory / "tiktoken.model").write_bytes(vocabulary.tiktoken_model())
    _write(directory / "tokenizer_config.json", _tokenizer_config(vocabulary.specials))
    _write(directory / "generation_config.json", {"eos_token_id": vocabulary.specials["<|im_end|>"]})


def _tokenizer_config(specials: dict[str, int]) -> dict[str, Any]:
    return {
        "added_tokens_decoder": {
            str(token_id): {
                "content": name,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": name not in PLAIN_SPECIALS,
            }
            for name, token_id in specials.items()
        },
        "bos_token": "[BOS]",
        "eos_token": "[EOS]",
        "pad_token": "[PAD]",
        "tokenizer_class": "TikTokenTokenizer",
        "unk_token": "[UNK]",
    }


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
