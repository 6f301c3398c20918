"""A GGUF model as the rest of the program sees it: facts, tokenizer, and tensors under their published names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from moonlet.checkpoint.gguf.model_config import check_architecture, read_model_config
from moonlet.checkpoint.gguf.names import FUSED_GATE_UP, K_B, KV_B, V_B, GgufSpec, expected_tensors, experts_name
from moonlet.checkpoint.gguf.shards import GgufFile, open_files
from moonlet.checkpoint.gguf.tokenizer import GgufTokenizer, read_tokenizer
from moonlet.checkpoint.header import TensorEntry
from moonlet.config import ModelConfig
from moonlet.config.json_file import one_line
from moonlet.errors import CheckpointError
from moonlet.formats.finite import count_nonfinite
from moonlet.formats.gguf.matrix import BlockMatrix

_FLOATS = ("F32", "F16", "BF16")
_CHECKED_BYTES = 8 << 20
"""Stored bytes widened at a time by `check_values`."""
_BIAS = "e_score_correction_bias"
SOURCE_PREFIX = "moonlet.source."
"""Metadata keys under which a converted file carries the small files of its source, by file name."""


@dataclass(frozen=True, slots=True)
class BlockLayer:
    """The routed experts of one decoder layer as stored.

    gate_proj, up_proj: [n_routed_experts, moe_intermediate_size, row bytes]; down_proj: [.., hidden_size, ..].
    """

    gate_proj: BlockMatrix
    up_proj: BlockMatrix
    down_proj: BlockMatrix


class GgufCheckpoint:
    """An opened model: every header has been held against the strict layout, no weight has been read.

    `names`, `entry` and `get` speak of the tensors that are not routed experts as a published checkpoint would;
    `stored` and `experts` give what the files hold, as views that keep them mapped.
    """

    def __init__(self, files: tuple[GgufFile, ...], config: ModelConfig, tokenizer: GgufTokenizer) -> None:
        """For `open_gguf`, which has verified that the parts agree."""
        self.files = tuple(file.path for file in files)
        self.config = config
        self.tokenizer = tokenizer
        self._metadata = files[0].metadata
        self._owner = {name: file for file in files for name in file.entries}
        plain = expected_tensors(config, split_kv_b=False, fused_gate_up=False)
        self._published = {spec.published: spec for spec in plain if spec.role != "experts"}

    @property
    def names(self) -> tuple[str, ...]:
        """The published name of every tensor but the routed experts'."""
        return tuple(self._published)

    @property
    def stored_names(self) -> tuple[str, ...]:
        """Every tensor's name in the files."""
        return tuple(self._owner)

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors as stored."""
        return sum(self.bytes_by_dtype().values())

    @property
    def expert_bytes(self) -> int:
        """Bytes of the routed experts as stored."""
        found = ((name, file.entries[name].num_bytes) for name, file in self._owner.items())
        return sum(num_bytes for name, num_bytes in found if name.endswith("_exps.weight"))

    def bytes_by_dtype(self) -> dict[str, int]:
        """Bytes of the tensors of each type, largest first."""
        sizes: Counter[str] = Counter()
        for name, file in self._owner.items():
            entry = file.entries[name]
            sizes[entry.kind.name] += entry.num_bytes
        return dict(sizes.most_common())

    def stored(self, name: str) -> BlockMatrix:
        """The tensor the file calls `name`, as stored. Raises CheckpointError if there is none."""
        file = self._owner.get(name)
        if file is None:
            raise CheckpointError(f"{one_line(name)}: not in {self.files[0].name}")
        return BlockMatrix(file.entries[name].kind, file.rows(name))

    def experts(self, layer_idx: int) -> BlockLayer:
        """The routed experts of decoder layer `layer_idx`, as stored."""
        down = self.stored(experts_name(layer_idx, "down_proj"))
        fused = experts_name(layer_idx, "gate_up_proj")
        if fused not in self._owner:
            gate, up = (self.stored(experts_name(layer_idx, part)) for part in ("gate_proj", "up_proj"))
            return BlockLayer(gate, up, down)
        both = self.stored(fused)
        gate_rows, up_rows = both.rows.chunk(2, dim=1)
        return BlockLayer(BlockMatrix(both.kind, gate_rows), BlockMatrix(both.kind, up_rows), down)

    def entry(self, name: str) -> TensorEntry:
        """Type, shape and bytes of what `get` gives. Raises CheckpointError for a name the model does not have."""
        spec = self._published.get(name)
        if spec is None:
            raise CheckpointError(f"{one_line(name)}: not in {self.files[0].name}")
        wide = name.endswith(_BIAS)
        return TensorEntry("F32" if wide else "BF16", spec.shape, 0, math.prod(spec.shape) * (4 if wide else 2))

    def get(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """A tensor that is not a routed expert's, by its published name, in the published shape.

        dtype: None gives what the published checkpoint has: F32 for the router's bias, else BF16. float32 is exact
        for every type. A copy, unless it is stored so. Raises CheckpointError for a name the model does not have.
        """
        spec = self._published.get(name)
        if spec is None:
            raise CheckpointError(f"{one_line(name)}: not in {self.files[0].name}")
        wanted = dtype or (torch.float32 if name.endswith(_BIAS) else torch.bfloat16)
        if spec.name.endswith(KV_B) and spec.name not in self._owner:
            return self._join_kv_b(spec.name.removesuffix(KV_B), wanted)
        return self.stored(spec.name).dequantize(wanted)

    def linear_blocks(self, name: str) -> BlockMatrix | None:
        """The matrix published as `name` in the blocks of the file, or None where it is no matrix of its own there.

        None too for plain floats. Raises CheckpointError for a name the model does not have.
        """
        spec = self._published.get(name)
        if spec is None:
            raise CheckpointError(f"{one_line(name)}: not in {self.files[0].name}")
        if spec.name not in self._owner or spec.role != "matrix":
            return None
        stored = self.stored(spec.name)
        return None if stored.kind.expand is None or stored.shape != tuple(spec.shape) else stored

    def source_files(self) -> Mapping[str, str]:
        """The small files of the source (config.json and others) that `moonlet convert` put into the file."""
        keys = self._metadata.matching(SOURCE_PREFIX)
        return {key.removeprefix(SOURCE_PREFIX): self._metadata.string(key) for key in keys}

    def check_values(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read every tensor and look for values no weight may have; scales of blocks show as their weights.

        Reads all files once, in bounded memory. progress: called with the bytes done and the bytes in all. Raises
        CheckpointError naming the first tensor with NaN or infinity and how many it holds.
        """
        total, done = self.num_bytes, 0
        for name, file in self._owner.items():
            stored = self.stored(name)
            rows = stored.rows.view(-1, stored.rows.shape[-1])
            step = max(1, _CHECKED_BYTES // rows.shape[1])
            bad = 0
            for start in range(0, rows.shape[0], step):
                piece = BlockMatrix(stored.kind, rows[start : start + step])
                bad += count_nonfinite(piece.dequantize())
                done += piece.num_bytes
                if progress is not None:
                    progress(done, total)
            if bad:
                raise CheckpointError(
                    f"{name}: {bad:,} of its values are NaN or infinite ({file.path.name}), expected none; "
                    "the file is damaged or badly converted, fetch it again"
                )

    def _join_kv_b(self, stem: str, dtype: torch.dtype) -> Tensor:
        """attn_k_b [heads, kv_lora_rank, nope] and attn_v_b [heads, v, kv_lora_rank] as kv_b_proj's rows."""
        k_b = self.stored(stem + K_B).dequantize(dtype).transpose(1, 2)
        v_b = self.stored(stem + V_B).dequantize(dtype)
        return torch.cat([k_b, v_b], dim=1).flatten(0, 1)


def open_gguf(path: str | Path) -> GgufCheckpoint:
    """Open the .gguf file at `path`, with its companions if the model is split, and verify its form.

    Raises ConfigError or CheckpointError in one line for whatever is missing, extra, mis-shaped, mis-typed, cut
    short, of another architecture, or not the tokenizer of Kimi K2.
    """
    files = open_files(Path(path))
    metadata = files[0].metadata
    check_architecture(metadata)
    found = {name: file for file in files for name in file.entries}
    tokenizer = read_tokenizer(metadata)
    config = read_model_config(metadata, found)
    split_kv_b = metadata.has("deepseek2.attention.key_length_mla")
    fused = any(name.endswith(FUSED_GATE_UP) for name in found)
    expected = list(expected_tensors(config, split_kv_b=split_kv_b, fused_gate_up=fused))
    check_layout(expected, found, files[0].path.name)
    if len(tokenizer.ranks) + len(tokenizer.special_ids) != config.text.vocab_size:
        raise CheckpointError(
            f"{files[0].path.name}: {len(tokenizer.ranks) + len(tokenizer.special_ids):,} tokens, "
            f"expected {config.text.vocab_size:,}, the vocabulary of the embeddings"
        )
    return GgufCheckpoint(files, config, tokenizer)


def check_layout(expected: list[GgufSpec], found: Mapping[str, GgufFile], where: str) -> None:
    """Raise CheckpointError for the first tensor that is missing, of another type or shape, or not of this model."""
    missing = [spec.name for spec in expected if spec.name not in found]
    if missing:
        others = f" (and {len(missing) - 1:,} others)" if len(missing) > 1 else ""
        raise CheckpointError(f"{missing[0]}: missing{others} in {where}; the model may be incomplete, fetch it again")
    specs = {spec.name: spec for spec in expected}
    for name, file in found.items():
        spec, entry = specs.get(name), file.entries[name]
        if spec is None and name.endswith((KV_B, K_B, V_B)):
            # ik_llama.cpp writes kv_b_proj whole and in parts; what is not needed is not read.
            continue
        if spec is None:
            raise CheckpointError(
                f"{one_line(name)}: in {file.path.name} but not part of the model its metadata describes"
            )
        if entry.shape != spec.shape:
            raise CheckpointError(f"{name}: shape {list(entry.shape)} in {file.path.name}, expected {list(spec.shape)}")
        if spec.role == "vector" and entry.kind.name not in _FLOATS:
            raise CheckpointError(
                f"{name}: type {entry.kind.name} in {file.path.name}, expected one of {', '.join(_FLOATS)}"
            )
