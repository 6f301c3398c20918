"""What tells one model's latents from another's, so that a folder may serve several models one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import torch

from moonlet import __version__
from moonlet.config import ModelOptions
from moonlet.engine.source import ModelSource
from moonlet.kernels.runtime import build_id
from moonlet.media.config import MediaProcessorConfig

_ENDS_BYTES = 1 << 16
"""Read from either end of a weight file; reading all of K2.5 would take as long as a long prompt."""


def model_fingerprint(source: ModelSource, options: ModelOptions, media_config: MediaProcessorConfig) -> bytes:
    """16 bytes that differ where the same ids could give other latents.

    Files count by name, size, time of change and both ends: a model copied without its times is another one.
    """
    digest = blake2b(digest_size=16)
    for part in _parts(source, options, media_config):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def _parts(source: ModelSource, options: ModelOptions, media_config: MediaProcessorConfig) -> Iterator[bytes]:
    yield f"moonlet {__version__} torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}".encode()
    yield build_id()
    # What a reply was emitted as is text only together with the vocabulary.
    tokenizer = source.tokenizer
    yield repr((source.config, media_config, tokenizer.vocab_size, sorted(tokenizer.special_ids.items()))).encode()
    yield repr(
        (options.device, options.isa, options.activations, options.dense, options.attention, options.reference)
    ).encode()
    for path in (*source.checkpoint.files, *([source.mmproj.path] if source.mmproj is not None else [])):
        yield from _file(path)


def _file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        yield f"{path.name} {status.st_size} {status.st_mtime_ns}".encode()
        yield file.read(_ENDS_BYTES)
        file.seek(max(0, status.st_size - _ENDS_BYTES))
        yield file.read(_ENDS_BYTES)
