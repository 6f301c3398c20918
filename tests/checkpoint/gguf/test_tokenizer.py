"""The vocabulary survives the way through a GGUF file, and damaged ones are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from moonlet.chat.messages import parse_messages
from moonlet.chat.template import ChatTemplate, built_in_source
from moonlet.chat.tokenizer import Tokenizer
from moonlet.chat.tokenizer_files import TokenizerFiles, read_tokenizer_files
from moonlet.checkpoint.gguf import GgufTokenizer, open_gguf
from moonlet.checkpoint.gguf.metadata import Metadata
from moonlet.checkpoint.gguf.tokenizer import read_tokenizer, tokenizer_metadata
from moonlet.errors import CheckpointError, PromptError
from tests.checkpoint.gguf.files import TINY, tiny_tokenizer

OFFICIAL = Path(__file__).parents[4] / "shared" / "k25"
GOLDEN = Path(__file__).parents[2] / "vectors" / "chat" / "tokenizer.jsonl"


def as_files(found: GgufTokenizer) -> TokenizerFiles:
    return TokenizerFiles(
        found.ranks, found.special_ids, found.bos_token, found.eos_token, found.pad_token, found.unk_token
    )


def through_metadata(tokenizer: GgufTokenizer) -> GgufTokenizer:
    values = tokenizer_metadata(tokenizer, ())
    return read_tokenizer(Metadata(as_read(values), "m.gguf"))


def as_read(values: dict[str, object]) -> dict[str, object]:
    """Lists in the form a file's reader gives them."""
    import numpy as np

    def convert(value: object) -> object:
        if not isinstance(value, list):
            return value
        return tuple(value) if not value or isinstance(value[0], str) else np.array(value, dtype=np.int32)

    return {key: convert(value) for key, value in values.items()}


def test_the_tiny_vocabulary_comes_back_from_a_file(tiny_file: Path) -> None:
    assert open_gguf(tiny_file).tokenizer == tiny_tokenizer()


def test_texts_get_the_same_ids(tiny_file: Path) -> None:
    direct, through = Tokenizer.from_dir(TINY), Tokenizer(as_files(open_gguf(tiny_file).tokenizer))
    for text in ("hello world", "你好, 2026!", "<|im_end|> is text here", "\n\n  x\ty", "naïve café 🚀"):
        assert through.encode(text) == direct.encode(text)
        assert through.encode_with_specials(text) == direct.encode_with_specials(text)


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official vocabulary is not beside this checkout")
def test_the_official_vocabulary_gives_the_golden_ids() -> None:
    files = read_tokenizer_files(OFFICIAL)
    tokenizer = GgufTokenizer(
        files.ranks, files.special_ids, files.bos_token, files.eos_token, files.pad_token, files.unk_token, None
    )
    found = through_metadata(tokenizer)
    assert (found.ranks, found.special_ids) == (files.ranks, files.special_ids)
    encoder = Tokenizer(as_files(found))
    records = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    checked = 0
    for record in records:
        if "text" not in record or "ids" not in record:
            continue
        encode = encoder.encode_with_specials if record["allow_special"] else encoder.encode
        assert encode(record["text"]) == record["ids"]
        checked += 1
    assert checked > 200


def test_a_vocabulary_without_thinking_or_media_can_still_talk() -> None:
    """Kimi K2, before K2-Thinking: those ids are reserved."""
    absent = ("<think>", "</think>", "<|media_begin|>", "<|media_content|>", "<|media_end|>", "<|media_pad|>")
    full = tiny_tokenizer()
    names = {i: f"<|reserved_token_{i}|>" if n in absent else n for n, i in full.special_ids.items()}
    plain = replace(full, special_ids={name: token_id for token_id, name in names.items()})
    tokenizer = Tokenizer(as_files(through_metadata(plain)))
    assert (tokenizer.think_id, tokenizer.media_pad_id) == (None, None)
    template = ChatTemplate(built_in_source(), tokenizer)
    prompt = template.render(parse_messages([{"role": "user", "content": "hi"}]), thinking=False)
    assert tokenizer.im_end_id in prompt.ids
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    with pytest.raises(PromptError, match="no place for them"):
        template.render(parse_messages([{"role": "user", "content": [picture]}]))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tokenizer.ggml.tokens", ("a",), "token types"),
        ("tokenizer.ggml.merges", ("a b",), "merge 0"),
        ("tokenizer.ggml.eos_token_id", -1, "special token"),
    ],
)
def test_a_damaged_vocabulary_is_refused(key: str, value: object, message: str) -> None:
    values = as_read(tokenizer_metadata(tiny_tokenizer(), ())) | {key: value}
    with pytest.raises(CheckpointError, match=message):
        read_tokenizer(Metadata(values, "m.gguf"))


def test_a_token_outside_the_byte_alphabet_is_refused() -> None:
    values = as_read(tokenizer_metadata(tiny_tokenizer(), ()))
    values["tokenizer.ggml.tokens"] = ("\u4f60", *values["tokenizer.ggml.tokens"][1:])
    with pytest.raises(CheckpointError, match="stands for no byte"):
        read_tokenizer(Metadata(values, "m.gguf"))


def test_a_file_without_a_template_has_none() -> None:
    assert through_metadata(replace(tiny_tokenizer(), chat_template=None)).chat_template is None
