"""The published checkpoint to a GGUF file that llama.cpp opens.

Experts in INT4 become Q4_0 or Q8_0 without loss: the codes are carried over, the scales checked to be exact. Other
types are rounded from the widened weights. Norms, router and its bias become F32, which BF16 always fits. The vision
tower is not part of such a file; its tensors are kept, bytes unchanged, in a safetensors file beside it.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from moonlet.checkpoint import Checkpoint
from moonlet.checkpoint.gguf.checkpoint import SOURCE_PREFIX
from moonlet.checkpoint.gguf.model_config import ARCHITECTURE, model_metadata
from moonlet.checkpoint.gguf.names import K_B, V_B, GgufSpec, expected_tensors
from moonlet.checkpoint.gguf.shards import model_stem
from moonlet.checkpoint.gguf.tokenizer import GgufTokenizer, tokenizer_metadata
from moonlet.checkpoint.gguf.writer import Fact, Progress, TensorPlan, write_gguf
from moonlet.config import TextConfig
from moonlet.formats import int4g32
from moonlet.formats.gguf import BlockType, block_type
from moonlet.formats.gguf.bits import Bytes
from moonlet.formats.gguf.int4 import int4_to_q4_0, int4_to_q8_0
from moonlet.formats.gguf.quantize import quantize

logger = logging.getLogger(__name__)

_PIECE_WEIGHTS = 1 << 24
"""Weights of a large matrix widened at a time."""

_FILE_TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K": 12, "Q4_K": 15,
    "Q5_K": 17, "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20, "IQ3_XXS": 23, "IQ1_S": 24, "IQ4_NL": 25, "IQ3_S": 26,
    "IQ2_S": 28, "IQ4_XS": 30, "IQ1_M": 31, "BF16": 32, "TQ1_0": 36, "TQ2_0": 37, "MXFP4": 38,
}  # fmt: skip
"""general.file_type: enum llama_ftype of llama.h, a label for people."""

_NARROW_ROWS = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What llama.cpp writes where a row is not whole super-blocks of 256; IQ4_NL for the smaller types."""


@dataclass(frozen=True, slots=True)
class GgufChoice:
    """The type of the routed experts and of the other matrices, and the largest file in bytes (None: one file)."""

    experts: BlockType
    others: BlockType
    max_file_bytes: int | None


def vision_file(path: Path) -> Path:
    """Where the vision tower of the model in `path`, or in split files of which `path` is one, is kept."""
    return path.with_name(f"{model_stem(path)}.vision.safetensors")


def convert_to_gguf(
    checkpoint: Checkpoint,
    tokenizer: GgufTokenizer,
    source_files: Mapping[str, str],
    path: Path,
    choice: GgufChoice,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Write `checkpoint` to `path` (or split files beside it) and return the files.

    source_files: small files to carry along, from `read_source_files`. Peak memory: an expert widened for each core,
    or a piece of a matrix. Raises ConfigError or CheckpointError in one line, among others where a scale is not exact.
    """
    config = checkpoint.config
    metadata: dict[str, Fact] = {
        "general.architecture": ARCHITECTURE,
        "general.type": "model",
        "general.name": path.stem,
        "general.file_type": _FILE_TYPES.get(choice.experts.name, 0),
        "general.quantization_version": 2,
        **model_metadata(config),
        **tokenizer_metadata(tokenizer, config.text.eos_token_ids),
        **{SOURCE_PREFIX + name: text for name, text in source_files.items()},
    }
    plans = [_plan(checkpoint, spec, choice) for spec in expected_tensors(config, split_kv_b=True)]
    files = write_gguf(path, metadata, plans, max_bytes=choice.max_file_bytes, progress=progress)
    if config.vision is None:
        return files
    names = [name for name in checkpoint.names if not name.startswith(config.tensor_prefix)]
    target = vision_file(path)
    partial_file = target.with_name(target.name + ".partial")
    save_file({name: checkpoint.get(name) for name in names}, partial_file, metadata={"format": "pt"})
    # The library makes files that only their owner can read.
    partial_file.chmod(0o644)
    partial_file.replace(target)
    return (*files, target)


def _plan(checkpoint: Checkpoint, spec: GgufSpec, choice: GgufChoice) -> TensorPlan:
    if spec.role in ("vector", "router"):
        kind = block_type("F32")
    else:
        wanted = choice.experts if spec.role == "experts" else choice.others
        kind = _fitting(wanted, spec)
    pieces: Callable[[], Iterable[memoryview]]
    if spec.role == "experts":
        pieces = partial(_experts, checkpoint, spec, kind)
    else:
        pieces = partial(_matrix, checkpoint, spec, kind)
    return TensorPlan(spec.name, kind, spec.shape, pieces)


def _fitting(kind: BlockType, spec: GgufSpec) -> BlockType:
    """`kind`, or a type of smaller blocks where the rows of `spec` are not whole blocks of it."""
    width = spec.shape[-1]
    if width % kind.block_weights == 0:
        return kind
    narrow = block_type(_NARROW_ROWS.get(kind.name, "IQ4_NL")) if kind.block_weights == 256 else block_type("BF16")
    if width % narrow.block_weights:
        narrow = block_type("BF16")
    logger.warning("%s: rows of %d weights are not %s blocks, written as %s", spec.name, width, kind.name, narrow.name)
    return narrow


def _experts(checkpoint: Checkpoint, spec: GgufSpec, kind: BlockType) -> Iterator[memoryview]:
    """The stacked matrices in order, made by all cores; no more than one a core waits in memory to be written."""
    workers = len(os.sched_getaffinity(0))
    waiting: deque[Future[Bytes]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for expert_id in range(spec.shape[0]):
            waiting.append(pool.submit(_expert, checkpoint, spec.published.format(expert_id), kind))
            if len(waiting) > workers:
                yield waiting.popleft().result().reshape(-1).data
        while waiting:
            yield waiting.popleft().result().reshape(-1).data


def _expert(checkpoint: Checkpoint, name: str, kind: BlockType) -> Bytes:
    if checkpoint.config.quantization is None:
        return quantize(kind, checkpoint.get(f"{name}.weight").to(torch.float32).numpy())
    packed, scale = checkpoint.get(f"{name}.weight_packed"), checkpoint.get(f"{name}.weight_scale")
    if kind.name == "Q4_0":
        return int4_to_q4_0(packed, scale, name)
    if kind.name == "Q8_0":
        return int4_to_q8_0(packed, scale, name)
    return quantize(kind, int4g32.dequantize(packed, scale).numpy())


def _matrix(checkpoint: Checkpoint, spec: GgufSpec, kind: BlockType) -> Iterator[memoryview]:
    weight = _oriented(checkpoint.get(spec.published), spec, checkpoint.config.text)
    rows = weight.reshape(-1, spec.shape[-1])
    step = max(1, _PIECE_WEIGHTS // rows.shape[1])
    for start in range(0, rows.shape[0], step):
        piece = rows[start : start + step].to(torch.float32).contiguous().numpy()
        yield quantize(kind, piece).reshape(-1).data


def _oriented(weight: Tensor, spec: GgufSpec, text: TextConfig) -> Tensor:
    """kv_b_proj's half of each head for attn_k_b (transposed) and attn_v_b; other weights as they are."""
    heads, nope = text.num_attention_heads, text.qk_nope_head_dim
    if spec.name.endswith(K_B):
        return weight.view(heads, -1, text.kv_lora_rank)[:, :nope].transpose(1, 2)
    if spec.name.endswith(V_B):
        return weight.view(heads, -1, text.kv_lora_rank)[:, nope:]
    return weight
