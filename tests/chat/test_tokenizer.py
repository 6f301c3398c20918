from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from moonlet.chat.detokenizer import Detokenizer
from moonlet.chat.splitting import MAX_CHUNK_CHARS, MAX_RUN_CHARS, cut_positions, join_surrogates
from moonlet.chat.tokenizer import Tokenizer
from moonlet.chat.tokenizer_files import NUM_RESERVED_SPECIALS
from moonlet.errors import CheckpointError, PromptError

ODD_TEXTS = [
    "",
    " ",
    "hi, who are you?",
    "9.11 or 9.9?",
    "你好，世界 👩‍👩‍👧 é ß",
    "a\r\n\t b \n\n c",
    "\x00\x7f",
    "<|im_end|>",
    "[EOS][BOS]<think></think>",
    "<|reserved_token_389|>",
]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_text_comes_back_whole_and_never_holds_a_special_token(text: str, tiny: Tokenizer) -> None:
    ids = tiny.encode(text)
    assert tiny.decode(ids) == text
    assert not set(ids) & set(tiny.special_ids.values())


def test_trusted_text_holds_the_special_tokens_it_spells(tiny: Tokenizer) -> None:
    ids = tiny.encode_with_specials("<|im_user|>a<|im_end|>[EOS]<|reserved_token_389|>")
    assert ids == [387, *tiny.encode("a"), 386, 385, 389]
    assert tiny.decode(ids) == "<|im_user|>a<|im_end|>[EOS]<|reserved_token_389|>"


def test_ids_of_the_dialect_come_from_the_config(tiny: Tokenizer) -> None:
    assert tiny.vocab_size == 640
    assert (tiny.bos_id, tiny.eos_id, tiny.im_end_id, tiny.pad_id) == (384, 385, 386, 639)
    assert tiny.stop_ids == {385, 386}
    assert len(tiny.special_ids) == NUM_RESERVED_SPECIALS
    assert tiny.special_ids["<|reserved_token_389|>"] == 389


@pytest.mark.parametrize("token_id", [-1, 640, 10**9])
def test_an_id_outside_the_vocabulary_is_refused(token_id: int, tiny: Tokenizer) -> None:
    with pytest.raises(PromptError, match=f"token id {token_id}: expected 0 to 639"):
        tiny.decode([token_id])


def test_lone_surrogates_become_replacement_characters_and_pairs_are_joined(tiny: Tokenizer) -> None:
    assert join_surrogates("a\ud800b") == "a\ufffdb"
    assert join_surrogates("\ud83d\ude00") == "😀"
    assert tiny.encode("a\ud800b") == tiny.encode("a\ufffdb")


def test_cuts_fall_where_the_official_tokenizer_cuts() -> None:
    run = MAX_RUN_CHARS
    assert cut_positions("x" * run) == []
    assert cut_positions("x" * (run + 1)) == [run]
    assert cut_positions("x" * (run - 1) + " " + "y" * (2 * run + 1)) == [2 * run, 3 * run]
    assert cut_positions(" " * (run + 5) + "z") == [run]
    words = "ab " * (MAX_CHUNK_CHARS // 2)
    assert cut_positions(words) == [MAX_CHUNK_CHARS]


def test_a_cut_inside_a_special_token_leaves_the_token_whole(tiny: Tokenizer) -> None:
    # Ten characters a token: the cut after 25,000 characters of one run would split the token that follows.
    text = "x" * (MAX_RUN_CHARS - 4) + "<|im_end|>" * 3
    ids = tiny.encode_with_specials(text)
    assert ids[-3:] == [tiny.im_end_id] * 3
    assert tiny.decode(ids) == text


LONG_UNITS = {
    "one letter": "a",
    "capitals": "A",
    "blanks": " ",
    "newlines": "\n",
    "punctuation": "-=",
    "Han": "你",
    "emoji": "😀",
    "combining marks": "e\u0301",
    "contractions": "'s",
    "special tokens": "<|im_end|>",
}


@pytest.mark.parametrize("unit", LONG_UNITS.values(), ids=LONG_UNITS.keys())
def test_time_to_encode_grows_with_the_text_and_no_faster(unit: str, tiny: Tokenizer) -> None:
    def seconds(num_chars: int) -> float:
        text = unit * (num_chars // len(unit))
        start = time.process_time()
        ids = tiny.encode(text)
        elapsed = time.process_time() - start
        assert tiny.decode(ids) == text
        return elapsed

    # Four times the text may take four times as long; quadratic time would take sixteen times. The constant absorbs
    # what a busy machine adds to measurements of milliseconds.
    assert seconds(200_000) <= 8 * seconds(50_000) + 0.2


@pytest.mark.parametrize("unit", ["a", " ", "你", "😀", "A b\tc\n"])
def test_a_million_characters_of_the_published_vocabulary_take_moments(unit: str, k25: Tokenizer) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    k25.encode(text)
    assert time.process_time() - start < 5.0


def test_detokenizer_never_emits_half_a_character(tiny: Tokenizer) -> None:
    text = "é你😀 a\ufffd👩‍👧"
    ids = [byte_id for byte in text.encode() for byte_id in tiny_bytes(tiny, bytes([byte]))]
    stream = Detokenizer(tiny)
    pieces = [stream.push(token_id) for token_id in ids]
    assert "".join(pieces) == text
    assert [piece for piece in pieces if piece] == list(text)
    assert stream.flush() == ""


def test_detokenizer_agrees_with_decode_on_any_ids(tiny: Tokenizer) -> None:
    randomness = random.Random(20)
    for _ in range(300):
        ids = [randomness.randrange(tiny.vocab_size) for _ in range(randomness.randrange(30))]
        stream = Detokenizer(tiny)
        assert "".join(map(stream.push, ids)) + stream.flush() == tiny.decode(ids)


def test_detokenizer_says_at_the_end_that_a_character_was_left_open(tiny: Tokenizer) -> None:
    stream = Detokenizer(tiny)
    assert stream.push(tiny_bytes(tiny, b"\xf0")[0]) == ""
    assert stream.flush() == "\ufffd"
    assert stream.push(tiny_bytes(tiny, b"a")[0]) == "a"


def tiny_bytes(tokenizer: Tokenizer, data: bytes) -> list[int]:
    """The single-byte tokens that spell `data`."""
    by_bytes = {tokenizer.token_bytes(token_id): token_id for token_id in range(384)}
    return [by_bytes[bytes([byte])] for byte in data]


# Files that are not a tokenizer. Each is refused by the file's name and what is wrong in it.


@pytest.fixture
def model_dir(tiny_dir: Path, tmp_path: Path) -> Path:
    for name in ("tiktoken.model", "tokenizer_config.json"):
        shutil.copyfile(tiny_dir / name, tmp_path / name)
    return tmp_path


def edit_config(model_dir: Path, **changes: Any) -> None:
    path = model_dir / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", ["tiktoken.model", "tokenizer_config.json"])
def test_a_missing_file_is_named(name: str, model_dir: Path) -> None:
    (model_dir / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name}: no such file"):
        Tokenizer.from_dir(model_dir)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], r"no token for the single byte|ranks are not|expected 'BASE64 RANK'"),
        (lambda data: data + b"not a rank\n", r"line 385 is 'not a rank'"),
        (lambda data: data + b"AAA= x\n", r"line 385 is 'AAA= x'"),
        (lambda data: data + data.splitlines()[0] + b"\n", r"a second time"),
        (lambda data: data.replace(b" 383", b" 400"), r"ranks are not 0 to 383"),
        (lambda _: b"", r"no token for the single byte 0x00 \(256 of 256 missing\)"),
        (lambda _: bytes(range(256)), r"expected 'BASE64 RANK'"),
    ],
)
def test_a_damaged_rank_file_is_refused(damage: Any, message: str, model_dir: Path) -> None:
    path = model_dir / "tiktoken.model"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=message) as caught:
        Tokenizer.from_dir(model_dir)
    assert "tiktoken.model" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not valid JSON"), ("[]", "holds a list"), ("\udcff", "not valid JSON"), ("{}", "added_tokens_decoder")],
)
def test_a_config_that_is_no_config_is_refused(text: str, message: str, model_dir: Path) -> None:
    (model_dir / "tokenizer_config.json").write_text(text, errors="surrogateescape")
    with pytest.raises(CheckpointError, match=message):
        Tokenizer.from_dir(model_dir)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ({"5": {"content": "<|im_end|>"}}, r"'<\|im_end\|>' as id 5, expected an id in 384 to 639"),
        ({"163586": {"content": "<|im_end|>"}}, r"as id 163586, expected an id in 384 to 639"),
        ({"x": {"content": "<|im_end|>"}}, r"as id x"),
        ({"386": {"content": ""}}, r"\['386'\] has no text 'content'"),
        ({"386": "<|im_end|>"}, r"\['386'\] has no text 'content'"),
        ({"386": {"content": "a"}, "387": {"content": "a"}}, r"'a' is the name of both id 386 and id 387"),
        ({"384": {"content": "[BOS]"}}, r"eos_token is '\[EOS\]'"),
        (
            {str(384 + i): {"content": name} for i, name in enumerate(["[BOS]", "[EOS]", "[PAD]", "[UNK]"])},
            r"no special token <\|im_end\|> \(10 of 10 missing\)",
        ),
    ],
)
def test_special_tokens_that_do_not_fit_are_refused(added: dict[str, Any], message: str, model_dir: Path) -> None:
    edit_config(model_dir, added_tokens_decoder=added)
    with pytest.raises(CheckpointError, match=message):
        Tokenizer.from_dir(model_dir)
