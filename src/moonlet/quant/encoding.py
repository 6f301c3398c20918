"""A matrix in the blocks of a GGUF type: which type its rows allow, and its bytes a piece at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import torch
from torch import Tensor

from moonlet.formats.gguf import BlockType, block_type
from moonlet.formats.gguf.quantize import quantize

logger = logging.getLogger(__name__)

_PIECE_WEIGHTS = 1 << 24
"""Weights of a large matrix widened at a time."""

FILE_TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K": 12, "Q4_K": 15,
    "Q5_K": 17, "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20, "IQ3_XXS": 23, "IQ1_S": 24, "IQ4_NL": 25, "IQ3_S": 26,
    "IQ2_S": 28, "IQ4_XS": 30, "IQ1_M": 31, "BF16": 32, "TQ1_0": 36, "TQ2_0": 37, "MXFP4": 38,
}  # fmt: skip
"""general.file_type: enum llama_ftype of llama.h, a label for people."""

_NARROW_ROWS = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What llama.cpp writes where a row is not whole super-blocks of 256; IQ4_NL for the smaller types."""


def fitting_type(kind: BlockType, name: str, width: int) -> BlockType:
    """`kind`, or a type of smaller blocks where rows of `width` weights are not whole blocks; `name` is for the log."""
    if width % kind.block_weights == 0:
        return kind
    narrow = block_type(_NARROW_ROWS.get(kind.name, "IQ4_NL")) if kind.block_weights == 256 else block_type("BF16")
    if width % narrow.block_weights:
        narrow = block_type("BF16")
    logger.warning("%s: rows of %d weights are not %s blocks, written as %s", name, width, kind.name, narrow.name)
    return narrow


def row_pieces(weight: Tensor, kind: BlockType) -> Iterator[memoryview]:
    """The bytes of `weight` [..., width] in blocks of `kind`, some rows at a time."""
    rows = weight.reshape(-1, weight.shape[-1])
    step = max(1, _PIECE_WEIGHTS // rows.shape[1])
    for start in range(0, rows.shape[0], step):
        piece = rows[start : start + step].to(torch.float32).contiguous().numpy()
        yield quantize(kind, piece).reshape(-1).data
