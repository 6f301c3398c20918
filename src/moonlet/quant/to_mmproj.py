"""The vision tower of a published checkpoint to the `mmproj` file that llama.cpp opens beside a GGUF model.

Vectors, the patch convolution and the position grid become F32, as llama.cpp computes with them; other matrices take
the type asked for. BF16 and F32 lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from moonlet.checkpoint import Checkpoint
from moonlet.checkpoint.gguf.mmproj import mmproj_metadata
from moonlet.checkpoint.gguf.mmproj_names import is_wqkv, mmproj_name, split_axes
from moonlet.checkpoint.gguf.shards import model_stem
from moonlet.checkpoint.gguf.writer import Fact, TensorPlan, write_gguf
from moonlet.checkpoint.layout import TensorSpec, vision_layout
from moonlet.config import VisionConfig
from moonlet.errors import ConfigError
from moonlet.formats.gguf import BlockType, block_type
from moonlet.quant.encoding import FILE_TYPES, fitting_type, row_pieces


def mmproj_path(model: Path) -> Path:
    """Where the vision tower of the model in `model`, or in split files of which it is one, is written."""
    return model.with_name(f"mmproj-{model_stem(model)}.gguf")


def convert_to_mmproj(checkpoint: Checkpoint, path: Path, kind: BlockType) -> Path:
    """Write the vision tower and its projector to `path` and return it.

    Raises ConfigError for a checkpoint without a tower, CheckpointError where `path` is another file.
    """
    config = checkpoint.config.vision
    if config is None:
        raise ConfigError(f"{checkpoint.directory}: has no vision tower, so there is no mmproj file to write")
    metadata: dict[str, Fact] = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "general.name": path.stem,
        "general.file_type": FILE_TYPES[kind.name],
        "general.quantization_version": 2,
        **mmproj_metadata(config),
    }
    plans = [_plan(checkpoint, config, name, spec, kind) for name, spec in vision_layout(config).items()]
    return write_gguf(path, metadata, plans)[0]


def _plan(checkpoint: Checkpoint, config: VisionConfig, name: str, spec: TensorSpec, kind: BlockType) -> TensorPlan:
    stored = mmproj_name(name)
    chosen = fitting_type(kind, stored, spec.shape[-1]) if len(spec.shape) == 2 else block_type("F32")

    def pieces() -> Iterator[memoryview]:
        weight = checkpoint.get(name)
        return row_pieces(split_axes(weight, config.vt_num_attention_heads) if is_wqkv(name) else weight, chosen)

    return TensorPlan(stored, chosen, spec.shape, pieces)
