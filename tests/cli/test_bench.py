"""`moonlet bench make-checkpoint` writes a model that the rest of the program accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from moonlet.chat.tokenizer import Tokenizer
from moonlet.checkpoint import open_checkpoint
from moonlet.cli.main import run


def test_the_tiny_preset_opens_and_its_vocabulary_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "made"
    assert run(["bench", "make-checkpoint", "--preset", "tiny", str(target)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("tiny: 3 layers, 6.9 MB into ")
    config = open_checkpoint(target).config
    tokenizer = Tokenizer.from_dir(target)
    assert tokenizer.vocab_size == config.text.vocab_size
    assert config.text.eos_token_ids == (tokenizer.im_end_id,)
    assert config.text.bos_token_id == tokenizer.bos_id
    assert config.text.pad_token_id == tokenizer.pad_id
    text = "Hello, 9.11 or 9.9? 你好"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_directory_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").touch()
    assert run(["bench", "make-checkpoint", "--preset", "tiny", str(tmp_path)]) == 2
    assert "not empty and no model in it" in capsys.readouterr().err
