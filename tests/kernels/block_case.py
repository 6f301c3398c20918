"""Weights in block formats for tests: rows put together from the reference blocks."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from moonlet.kernels import block_formats

VECTORS = Path(__file__).parents[1] / "vectors" / "gguf_dequant"
FACTS = json.loads((VECTORS / "gguf_dequant.json").read_text())
FORMATS = [name for name in FACTS if name in block_formats()]


@cache
def vectors() -> dict[str, Tensor]:
    """`FORMAT.raw` uint8 and `FORMAT.f32` float32 of every format."""
    return load_file(VECTORS / "gguf_dequant.safetensors")


def block_weights(name: str) -> int:
    return int(FACTS[name]["block_size"])


def random_blocks(name: str, num_rows: int, num_inputs: int, seed: int = 0) -> Tensor:
    """[num_rows, row bytes] uint8: every block one of the reference blocks, at random."""
    pool = vectors()[f"{name}.raw"].reshape(-1, int(FACTS[name]["type_size"]))
    assert num_inputs % block_weights(name) == 0
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(pool), (num_rows, num_inputs // block_weights(name)), generator=generator)
    return pool[chosen].flatten(1).contiguous()


def whole_blocks(name: str, num_inputs: int) -> int:
    """`num_inputs` rounded up to whole blocks."""
    size = block_weights(name)
    return -(-num_inputs // size) * size
