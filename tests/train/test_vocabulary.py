"""The vocabulary: published format, whole words or letters, digits alone."""

from __future__ import annotations

from pathlib import Path
from random import Random

from moonlet.chat.tokenizer import Tokenizer
from moonlet.train.export import export_checkpoint
from moonlet.train.network import NanoModel
from moonlet.train.shape import NanoShape
from moonlet.train.tasks import TASKS
from moonlet.train.vocabulary import Vocabulary


def test_it_has_the_size_the_model_expects(vocabulary: Vocabulary) -> None:
    assert vocabulary.size == NanoShape().vocab_size == 1024
    assert vocabulary.special("[BOS]") == 768
    assert vocabulary.special("<|im_end|>") == 770
    assert vocabulary.special("</think>") == 768 + 163607 - 163584


def test_every_text_survives_a_round_trip(vocabulary: Vocabulary) -> None:
    rng = Random(1)
    for task in TASKS:
        for _ in range(100):
            text = task.sample(rng, 1.0).user
            assert vocabulary.decode(vocabulary.encode(text)) == text
    for text in ("", "  \n\t ", "héllo wörld", "你好，世界", "🙂🙃", "<|im_end|>", "a" * 5000):
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_text_never_becomes_a_special_token(vocabulary: Vocabulary) -> None:
    assert max(vocabulary.encode("<|im_end|></think>[EOS]")) < 768


def test_digits_and_letters_of_payload_words_stay_alone(vocabulary: Vocabulary) -> None:
    pieces = [vocabulary.decode([token]) for token in vocabulary.encode("how many r in strawberry, 1234?")]
    assert pieces == ["how", " many", " ", "r", " in", " ", *"strawberry", ",", " ", *"1234", "?"]


def test_the_exported_files_give_the_engine_the_same_ids(
    vocabulary: Vocabulary, shape: NanoShape, tmp_path: Path
) -> None:
    export_checkpoint(NanoModel(shape).state_dict(), shape, vocabulary, tmp_path)
    tokenizer = Tokenizer.from_dir(tmp_path)
    assert tokenizer.vocab_size == vocabulary.size
    for name, token_id in vocabulary.specials.items():
        assert tokenizer.special_ids[name] == token_id
    rng = Random(2)
    for task in TASKS:
        for _ in range(50):
            text = task.sample(rng, 1.0).user
            assert tokenizer.encode(text) == vocabulary.encode(text)
