"""The models a benchmark runs on: as given, or made from a published checkpoint in other number formats."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from moonlet.checkpoint import Checkpoint, open_checkpoint
from moonlet.checkpoint.gguf import GgufCheckpoint, open_gguf
from moonlet.cli.convert import conversion_bar, write_as_gguf
from moonlet.errors import OptionError
from moonlet.evals.speed.variants import write_variant
from moonlet.formats.gguf import block_type
from moonlet.formats.gguf.quantize import writable_types
from moonlet.quant import GgufChoice

PUBLISHED = "int4"
"""The format of the checkpoint itself."""
_LOSSLESS = ("q4_0", "q8_0")
"""Made by a true conversion, which for these is quick; the rest are variants, see `write_variant`."""


def format_names() -> tuple[str, ...]:
    """What --formats takes."""
    return (PUBLISHED, *(name.lower() for name in writable_types() if name not in ("F32", "F16")))


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to measure. source: as given.  number_format: None to take it as it is."""

    source: Path
    number_format: str | None

    @property
    def is_gguf(self) -> bool:
        """Whether what will be measured is a GGUF file."""
        if self.number_format is None:
            return is_gguf(self.source)
        return self.number_format != PUBLISHED

    @property
    def label(self) -> str:
        """For people and for the JSON line."""
        return self.source.name if self.number_format is None else f"{self.source.name} {self.number_format}"


def is_gguf(path: Path) -> bool:
    """Whether `path` names a GGUF file rather than a directory."""
    return path.suffix == ".gguf" and not path.is_dir()


def open_model(path: Path) -> Checkpoint | GgufCheckpoint:
    """Headers only. Raises UserError in one line."""
    return open_gguf(path) if is_gguf(path) else open_checkpoint(path)


def find_subjects(models: tuple[Path, ...], formats: tuple[str, ...]) -> list[Subject]:
    """Every model in every format. Raises OptionError for a GGUF file, which is not converted to others."""
    if not formats:
        return [Subject(model, None) for model in models]
    for model in models:
        if is_gguf(model):
            raise OptionError(f"model is {model}: --formats needs a published checkpoint, found a GGUF file")
    return [Subject(model, name) for model in models for name in formats]


def default_cache() -> Path:
    """Where made files stay for the next run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moonlet" / "bench"


def prepare(subject: Subject, non_experts: str, cache: Path) -> Path:
    """The path of what is to be measured, made now if it is not in `cache` yet. Raises UserError if it cannot be."""
    name = subject.number_format
    if name is None or name == PUBLISHED:
        return subject.source
    target = _cached(subject.source, name, non_experts, cache)
    if target.exists():
        return target
    if name in _LOSSLESS:
        write_as_gguf(
            subject.source, target, GgufChoice(block_type(name.upper()), block_type(non_experts.upper()), None)
        )
        return target
    base = open_gguf(prepare(Subject(subject.source, "q4_0"), non_experts, cache))
    with conversion_bar(base.num_bytes) as progress:
        write_variant(base, target, block_type(name.upper()), progress)
    return target


def _cached(source: Path, name: str, non_experts: str, cache: Path) -> Path:
    # Two checkpoints of one name, or one that was made anew, must not take each other's files.
    about = f"{source.resolve()} {(source / 'config.json').stat().st_mtime_ns}"
    digest = hashlib.sha256(about.encode()).hexdigest()[:8]
    return cache / f"{source.name}-{digest}-{name}-{non_experts}.gguf"
