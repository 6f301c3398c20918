"""The small files of a checkpoint that travel inside a converted one, so that the way back loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from moonlet.errors import CheckpointError

CARRIED = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "chat_template.jinja",
    "LICENSE",
)
MAX_BYTES = 4 << 20


def read_source_files(directory: Path) -> Mapping[str, str]:
    """Those of `CARRIED` that `directory` has, by name. Raises CheckpointError for one that is no text or too large."""
    found: dict[str, str] = {}
    for name in CARRIED:
        path = directory / name
        if not path.is_file():
            continue
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes, expected at most {MAX_BYTES:,}")
        try:
            # Decoded by hand: text mode would turn \r\n into \n, and the copy could differ from its source.
            found[name] = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise CheckpointError(f"{path}: not UTF-8 text; fetch it again") from None
    return found


def write_source_files(directory: Path, files: Mapping[str, str]) -> None:
    """Write files under the names of `CARRIED`; any other name is refused, since it may come from a foreign file."""
    for name, text in files.items():
        if name not in CARRIED:
            raise CheckpointError(f"{name[:80]!r}: carried by the file, but no file of a checkpoint; refused")
        (directory / name).write_bytes(text.encode("utf-8"))
