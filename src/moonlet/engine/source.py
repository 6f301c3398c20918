"""Where a model comes from: a directory as published, or a GGUF file that carries everything itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moonlet.chat.template import ChatTemplate, built_in_source
from moonlet.chat.tokenizer import Tokenizer
from moonlet.chat.tokenizer_files import TokenizerFiles
from moonlet.checkpoint import Checkpoint, open_checkpoint
from moonlet.checkpoint.gguf import GgufCheckpoint, open_gguf


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A verified checkpoint and the tokenizer and template that belong to it."""

    checkpoint: Checkpoint | GgufCheckpoint
    tokenizer: Tokenizer
    template: ChatTemplate


def open_source(path: Path) -> ModelSource:
    """Open the .gguf file or the published directory at `path`.

    Raises ConfigError, CheckpointError or TemplateError in one line.
    """
    if path.suffix != ".gguf" or path.is_dir():
        tokenizer = Tokenizer.from_dir(path)
        return ModelSource(open_checkpoint(path), tokenizer, ChatTemplate.from_dir(path, tokenizer))
    checkpoint = open_gguf(path)
    found = checkpoint.tokenizer
    files = TokenizerFiles(
        found.ranks, found.special_ids, found.bos_token, found.eos_token, found.pad_token, found.unk_token
    )
    tokenizer = Tokenizer(files, source=path)
    if found.chat_template is None:
        return ModelSource(checkpoint, tokenizer, ChatTemplate(built_in_source(), tokenizer))
    name = f"{path.name}: tokenizer.chat_template"
    return ModelSource(checkpoint, tokenizer, ChatTemplate(found.chat_template, tokenizer, name))
