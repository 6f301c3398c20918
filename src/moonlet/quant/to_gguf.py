"""The published checkpoint to a GGUF file that llama.cpp opens.

Experts in INT4 become Q4_0 or Q8_0 without loss: the codes are carried over, the scales checked to be exact. Other
types are rounded from the widened weights. Norms, router and its bias become F32, which BF16 always fits. The vision
tower becomes an `mmproj` file beside it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from moonlet.checkpoint import Checkpoint
from moonlet.checkpoint.gguf.checkpoint import SOURCE_PREFIX
from moonlet.checkpoint.gguf.model_config import ARCHITECTURE, model_metadata
from moonlet.checkpoint.gguf.names import K_B, V_B, GgufSpec, expected_tensors
from moonlet.checkpoint.gguf.tokenizer import GgufTokenizer, tokenizer_metadata
from moonlet.checkpoint.gguf.writer import Fact, Progress, TensorPlan, write_gguf
from moonlet.config import TextConfig
from moonlet.formats import int4g32
from moonlet.formats.gguf import BlockType, block_type
from moonlet.formats.gguf.bits import Bytes
from moonlet.formats.gguf.int4 import int4_to_q4_0, int4_to_q8_0
from moonlet.formats.gguf.quantize import quantize
from moonlet.quant.encoding import FILE_TYPES, fitting_type, row_pieces
from moonlet.quant.to_mmproj import convert_to_mmproj, mmproj_path


@dataclass(frozen=True, slots=True)
class GgufChoice:
    """The type of the routed experts, of the other matrices and of the vision tower's.

    max_file_bytes: the largest file; None for one file.
    """

    experts: BlockType
    others: BlockType
    max_file_bytes: int | None
    vision: BlockType = field(default_factory=lambda: block_type("BF16"))


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
        "general.file_type": FILE_TYPES.get(choice.experts.name, 0),
        "general.quantization_version": 2,
        **model_metadata(config),
        **tokenizer_metadata(tokenizer, config.text.eos_token_ids),
        **{SOURCE_PREFIX + name: text for name, text in source_files.items()},
    }
    plans = [_plan(checkpoint, spec, choice) for spec in expected_tensors(config, split_kv_b=True)]
    files = write_gguf(path, metadata, plans, max_bytes=choice.max_file_bytes, progress=progress)
    if config.vision is None:
        return files
    return (*files, convert_to_mmproj(checkpoint, mmproj_path(path), choice.vision))


def _plan(checkpoint: Checkpoint, spec: GgufSpec, choice: GgufChoice) -> TensorPlan:
    if spec.role in ("vector", "router"):
        kind = block_type("F32")
    else:
        wanted = choice.experts if spec.role == "experts" else choice.others
        kind = fitting_type(wanted, spec.name, spec.shape[-1])
    pieces: Callable[[], Iterable[memoryview]]
    if spec.role == "experts":
        pieces = partial(_experts, checkpoint, spec, kind)
    else:
        pieces = partial(_matrix, checkpoint, spec, kind)
    return TensorPlan(spec.name, kind, spec.shape, pieces)


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
    return row_pieces(_oriented(checkpoint.get(spec.published), spec, checkpoint.config.text), kind)


def _oriented(weight: Tensor, spec: GgufSpec, text: TextConfig) -> Tensor:
    """kv_b_proj's half of each head for attn_k_b (transposed) and attn_v_b; other weights as they are."""
    heads, nope = text.num_attention_heads, text.qk_nope_head_dim
    if spec.name.endswith(K_B):
        return weight.view(heads, -1, text.kv_lora_rank)[:, :nope].transpose(1, 2)
    if spec.name.endswith(V_B):
        return weight.view(heads, -1, text.kv_lora_rank)[:, nope:]
    return weight
