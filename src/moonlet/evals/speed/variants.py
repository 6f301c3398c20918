"""Files of every number format to time, made in minutes.

Rounding billions of weights into the smaller formats takes hours, and speed does not depend on values. So one expert
matrix is rounded for each shape and stands in for all experts: the file has the bytes and the layout of a real one,
and answers nonsense.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from moonlet.checkpoint.gguf import GgufCheckpoint
from moonlet.checkpoint.gguf.model_config import ARCHITECTURE, model_metadata
from moonlet.checkpoint.gguf.tokenizer import tokenizer_metadata
from moonlet.checkpoint.gguf.writer import Fact, Progress, TensorPlan, write_gguf
from moonlet.errors import OptionError
from moonlet.formats.gguf import BlockType
from moonlet.formats.gguf.bits import Bytes
from moonlet.formats.gguf.matrix import BlockMatrix
from moonlet.formats.gguf.quantize import quantize

_ROUTED = "_exps.weight"


def write_variant(base: GgufCheckpoint, path: Path, kind: BlockType, progress: Progress | None = None) -> None:
    """Write `base` to `path` with routed experts of type `kind`, fit for timing only.

    Raises OptionError if an expert's rows are not whole blocks, CheckpointError if the file cannot be written.
    """
    config = base.config
    metadata: dict[str, Fact] = {
        "general.architecture": ARCHITECTURE,
        "general.type": "model",
        "general.name": path.stem,
        "general.description": "for timing only: every expert holds the same weights",
        "general.quantization_version": 2,
        **model_metadata(config),
        **tokenizer_metadata(base.tokenizer, config.text.eos_token_ids),
    }
    rounded: dict[str, Bytes] = {}
    plans = []
    for name in base.stored_names:
        stored = base.stored(name)
        if not name.endswith(_ROUTED):
            plans.append(TensorPlan(name, stored.kind, stored.shape, partial(_as_stored, stored)))
            continue
        if stored.shape[-1] % kind.block_weights:
            raise OptionError(
                f"{kind.name}: {name} has rows of {stored.shape[-1]} weights, expected a multiple of "
                f"{kind.block_weights}"
            )
        plans.append(TensorPlan(name, kind, stored.shape, partial(_repeated, rounded, name, stored, kind)))
    write_gguf(path, metadata, plans, progress=progress)


def _as_stored(stored: BlockMatrix) -> Iterable[memoryview]:
    return [stored.rows.contiguous().numpy().reshape(-1).data]


def _repeated(rounded: dict[str, Bytes], name: str, stored: BlockMatrix, kind: BlockType) -> Iterator[memoryview]:
    matrix = name.rsplit(".", 2)[1]
    if matrix not in rounded:
        rounded[matrix] = quantize(kind, stored[0].dequantize().numpy())
    for _ in range(stored.shape[0]):
        yield rounded[matrix].reshape(-1).data
