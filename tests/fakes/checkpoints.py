"""Copies of the tiny golden checkpoint that a test may damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

TINY = Path(__file__).parent.parent / "vectors" / "tiny-k25"
SHARDS = ("model-00001-of-000002.safetensors", "model-00002-of-000002.safetensors")
INDEX = "model.safetensors.index.json"
LAYER_1 = "language_model.model.layers.1"


def copy_tiny(directory: Path) -> Path:
    """A private copy of the checkpoint in `directory`, without the expected outputs."""
    target = directory / "tiny"
    shutil.copytree(TINY, target, ignore=shutil.ignore_patterns("expected.safetensors", "prompts.json"))
    return target


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Let `change` alter the object in the file."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_shard(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Let `change` alter the tensors in the file."""
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def write_raw_shard(path: Path, header: dict[str, Any] | bytes, data: bytes = b"") -> None:
    """Write a safetensors file with exactly this header, however wrong."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
