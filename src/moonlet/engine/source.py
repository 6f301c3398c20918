"""Where a model comes from: a directory as published, or a GGUF file that carries everything itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moonlet.chat.template import ChatTemplate, built_in_source
from moonlet.chat.tokenizer import Tokenizer
from moonlet.chat.tokenizer_files import TokenizerFiles
from moonlet.checkpoint import Checkpoint, open_checkpoint
from moonlet.checkpoint.gguf import GgufCheckpoint, MmprojFile, config_with_vision, open_gguf, refuse_mmproj, vision_of
from moonlet.config import ModelConfig


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A verified checkpoint and the tokenizer and template that belong to it.

    config: of the whole model; a GGUF file's own knows of no vision tower.
    mmproj: the file that holds a GGUF model's vision tower; None where there is none, or where it is in `checkpoint`.
    """

    checkpoint: Checkpoint | GgufCheckpoint
    tokenizer: Tokenizer
    template: ChatTemplate
    config: ModelConfig
    mmproj: MmprojFile | None


def open_source(path: Path, mmproj: str | None = None) -> ModelSource:
    """Open the .gguf file or the published directory at `path`.

    mmproj: the GGUF file of the vision tower; if None, the one beside a .gguf file.
    Raises ConfigError, CheckpointError, TemplateError or OptionError in one line.
    """
    if path.suffix != ".gguf" or path.is_dir():
        tokenizer = Tokenizer.from_dir(path)
        refuse_mmproj(path, mmproj)
        published = open_checkpoint(path)
        return ModelSource(published, tokenizer, ChatTemplate.from_dir(path, tokenizer), published.config, None)
    checkpoint = open_gguf(path)
    vision = vision_of(checkpoint, mmproj)
    config = config_with_vision(checkpoint, vision)
    found = checkpoint.tokenizer
    files = TokenizerFiles(
        found.ranks, found.special_ids, found.bos_token, found.eos_token, found.pad_token, found.unk_token
    )
    tokenizer = Tokenizer(files, source=path)
    if found.chat_template is None:
        return ModelSource(checkpoint, tokenizer, ChatTemplate(built_in_source(), tokenizer), config, vision)
    name = f"{path.name}: tokenizer.chat_template"
    return ModelSource(checkpoint, tokenizer, ChatTemplate(found.chat_template, tokenizer, name), config, vision)
