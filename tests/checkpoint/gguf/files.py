"""Small GGUF models for tests, made from the golden tiny checkpoint."""

from __future__ import annotations

from pathlib import Path

from moonlet.chat.tokenizer_files import read_tokenizer_files
from moonlet.checkpoint import open_checkpoint
from moonlet.checkpoint.gguf import GgufTokenizer
from moonlet.formats.gguf import block_type
from moonlet.quant import GgufChoice, convert_to_gguf
from moonlet.quant.source_files import read_source_files

TINY = Path(__file__).parents[2] / "vectors" / "tiny-k25"


def tiny_tokenizer() -> GgufTokenizer:
    files = read_tokenizer_files(TINY)
    return GgufTokenizer(
        files.ranks,
        files.special_ids,
        files.bos_token,
        files.eos_token,
        files.pad_token,
        files.unk_token,
        "{{ messages }}",
    )


def write_tiny(
    path: Path,
    experts: str = "Q4_0",
    others: str = "BF16",
    max_file_bytes: int | None = None,
    vision: str = "BF16",
) -> tuple[Path, ...]:
    """The tiny checkpoint as GGUF; returns the files, the vision tower's last."""
    choice = GgufChoice(block_type(experts), block_type(others), max_file_bytes, block_type(vision))
    return convert_to_gguf(open_checkpoint(TINY), tiny_tokenizer(), read_source_files(TINY), path, choice)
