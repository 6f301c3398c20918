"""The vision tower as a GGUF file of its own (`mmproj`, projector type `kimik25`): facts and tensors, and back.

Source: conversion/base.py and conversion/kimi_vl.py, tools/mtmd/clip.cpp of llama.cpp.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from moonlet.checkpoint.gguf.checkpoint import GgufCheckpoint
from moonlet.checkpoint.gguf.mmproj_names import interleave_axes, is_wqkv, mmproj_name
from moonlet.checkpoint.gguf.shards import GgufFile, model_stem
from moonlet.checkpoint.layout import vision_layout
from moonlet.config import ModelConfig, TextConfig, VisionConfig
from moonlet.config.json_file import one_line
from moonlet.errors import CheckpointError, ConfigError, OptionError
from moonlet.formats.finite import count_nonfinite
from moonlet.formats.gguf.matrix import BlockMatrix

logger = logging.getLogger(__name__)

PROJECTOR = "kimik25"
PLACEHOLDER = "<|media_pad|>"
"""The special token that stands in a prompt for a picture."""
_POSITIONS = "v.position_embd.weight"
_PREFERRED = ("bf16", "f16", "f32")
"""Types by which a file beside the model is chosen where there are several: the published one, then the closest."""


class MmprojFile:
    """An opened file whose header has been held against the strict layout; no weight has been read."""

    def __init__(self, file: GgufFile, config: VisionConfig) -> None:
        """For `open_mmproj`, which has verified that the two agree."""
        self.path = file.path
        self.config = config
        self._file = file

    @property
    def num_tensors(self) -> int:
        """Tensors in the file."""
        return len(self._file.entries)

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors as stored."""
        return sum(entry.num_bytes for entry in self._file.entries.values())

    def get(self, name: str, dtype: torch.dtype = torch.bfloat16) -> Tensor:
        """A tensor by its published name, in the published order of rows; float32 is exact for every type."""
        stored = mmproj_name(name)
        matrix = BlockMatrix(self._file.entries[stored].kind, self._file.rows(stored))
        tensor = matrix.dequantize(dtype)
        return interleave_axes(tensor, self.config.vt_num_attention_heads) if is_wqkv(name) else tensor

    def check_values(self) -> None:
        """Read every tensor. Raises CheckpointError naming the first with NaN or infinity and how many it holds."""
        for name in vision_layout(self.config):
            bad = count_nonfinite(self.get(name, torch.float32))
            if bad:
                raise CheckpointError(
                    f"{mmproj_name(name)}: {bad:,} of its values are NaN or infinite ({self.path.name}), expected "
                    "none; the file is damaged or badly converted, fetch it again"
                )


def open_mmproj(path: Path) -> MmprojFile:
    """Open the vision file at `path` and verify its form.

    Raises ConfigError or CheckpointError in one line for a file of another projector, or whatever is missing, extra,
    mis-shaped or cut short.
    """
    file = GgufFile(path)
    projector = file.metadata.string("clip.projector_type", "") or file.metadata.string("general.architecture")
    if projector != PROJECTOR:
        raise ConfigError(
            f"{path.name}: projector type {one_line(repr(projector), 60)}, expected {PROJECTOR!r}, that of Kimi K2.5"
        )
    config = _read_config(file)
    _check_layout(file, config)
    return MmprojFile(file, config)


def find_mmproj(model: Path, text: TextConfig) -> MmprojFile | None:
    """The vision file beside the GGUF file `model`: `mmproj-NAME.gguf`, or else a `mmproj*.gguf` that fits it.

    A file of another model is passed over, and said so in the log. Raises CheckpointError if one that fits is damaged.
    """
    own = model.with_name(f"mmproj-{model_stem(model)}.gguf")
    candidates = [own] if own.is_file() else sorted(model.parent.glob("mmproj*.gguf"), key=_preference)
    for path in candidates:
        facts = GgufFile(path).metadata
        fits = facts.has("clip.projector_type") and facts.string("clip.projector_type") == PROJECTOR
        if fits and facts.integer("clip.vision.projection_dim", 0) == text.hidden_size:
            logger.info("vision tower: %s", path.name)
            return open_mmproj(path)
        logger.info("%s: not the vision tower of this model, passed over", path.name)
    return None


def vision_of(checkpoint: GgufCheckpoint, asked: str | None) -> MmprojFile | None:
    """The file with the vision tower of a GGUF model: the one asked for, or the one beside it, or None.

    Raises ConfigError or CheckpointError in one line, among others where the file asked for is of another model.
    """
    width = checkpoint.config.text.hidden_size
    if asked is None:
        return find_mmproj(checkpoint.files[0], checkpoint.config.text)
    found = open_mmproj(Path(asked))
    if found.config.text_hidden_size != width:
        raise ConfigError(
            f"{found.path.name}: clip.vision.projection_dim is {found.config.text_hidden_size}, expected {width}, the "
            f"hidden size of {checkpoint.files[0].name}; give the mmproj file of this model"
        )
    return found


def refuse_mmproj(path: Path, asked: str | None) -> None:
    """Raise OptionError if a file was asked for beside a published checkpoint, which holds its own tower."""
    if asked is not None:
        raise OptionError(f"mmproj is {asked!r} with {path}, expected a .gguf model: a directory holds its own tower")


def config_with_vision(checkpoint: GgufCheckpoint, mmproj: MmprojFile | None) -> ModelConfig:
    """The facts of the model with its vision tower. Raises ConfigError if its vocabulary has no placeholder."""
    if mmproj is None:
        return checkpoint.config
    placeholder = checkpoint.tokenizer.special_ids.get(PLACEHOLDER)
    if placeholder is None:
        raise ConfigError(f"{checkpoint.files[0].name}: no {PLACEHOLDER} in its vocabulary, so it reads text only")
    return replace(checkpoint.config, vision=mmproj.config, media_placeholder_token_id=placeholder)


def _preference(path: Path) -> tuple[int, str]:
    name = path.name.lower()
    # "bf16" holds "f16", so the order of _PREFERRED matters.
    return next((i for i, kind in enumerate(_PREFERRED) if kind in name), len(_PREFERRED)), name


def _read_config(file: GgufFile) -> VisionConfig:
    metadata = file.metadata
    for key in ("clip.vision.image_mean", "clip.vision.image_std"):
        if any(value != 0.5 for value in metadata.numbers(key)):
            raise ConfigError(f"{metadata.name(key)} is {metadata.numbers(key)}, expected 0.5 for each colour")
    positions = file.entries.get(_POSITIONS)
    if positions is None or len(positions.shape) != 3:
        raise CheckpointError(
            f"{_POSITIONS}: missing or not [rows, columns, width] in {file.path.name}; fetch it again"
        )
    width = metadata.integer("clip.vision.embedding_length")
    merge = metadata.integer("clip.vision.projector.scale_factor")
    try:
        return VisionConfig(
            init_pos_emb_height=positions.shape[0],
            init_pos_emb_width=positions.shape[1],
            init_pos_emb_time=metadata.integer("vision.pos_emb_time", 4),
            merge_kernel_size=(merge, merge),
            merge_type="sd2_tpool",
            mm_hidden_size=width,
            mm_projector_type="patchmerger",
            patch_size=metadata.integer("clip.vision.patch_size"),
            pos_emb_type="divided_fixed",
            projector_hidden_act="gelu",
            projector_ln_eps=metadata.number("clip.vision.attention.layer_norm_epsilon"),
            text_hidden_size=metadata.integer("clip.vision.projection_dim"),
            video_attn_type="spatial_temporal",
            vt_hidden_size=width,
            vt_intermediate_size=metadata.integer("clip.vision.feed_forward_length"),
            vt_num_attention_heads=metadata.integer("clip.vision.attention.head_count"),
            vt_num_hidden_layers=metadata.integer("clip.vision.block_count"),
        )
    except ConfigError as cause:
        message = str(cause)
        raise ConfigError(message if message.startswith(metadata.file_name) else metadata.name(message)) from None


def _check_layout(file: GgufFile, config: VisionConfig) -> None:
    expected = {mmproj_name(name): spec.shape for name, spec in vision_layout(config).items()}
    missing = [name for name in expected if name not in file.entries]
    where = file.path.name
    if missing:
        others = f" (and {len(missing) - 1:,} others)" if len(missing) > 1 else ""
        raise CheckpointError(f"{missing[0]}: missing{others} in {where}; the file may be incomplete, fetch it again")
    for name, entry in file.entries.items():
        if name not in expected:
            raise CheckpointError(f"{one_line(name)}: in {where} but not part of the tower its metadata describes")
        if entry.shape != expected[name]:
            raise CheckpointError(f"{name}: shape {list(entry.shape)} in {where}, expected {list(expected[name])}")


def mmproj_metadata(config: VisionConfig) -> dict[str, bool | int | float | str | list[float]]:
    """The metadata that says what `config` says; `open_mmproj` of it gives the same facts."""
    patch_pixels = config.patch_size**2
    return {
        "clip.has_vision_encoder": True,
        "clip.projector_type": PROJECTOR,
        "clip.use_gelu": True,
        "clip.vision.projection_dim": config.text_hidden_size,
        "clip.vision.image_size": config.init_pos_emb_height * config.patch_size,
        "clip.vision.patch_size": config.patch_size,
        "clip.vision.embedding_length": config.vt_hidden_size,
        "clip.vision.feed_forward_length": config.vt_intermediate_size,
        "clip.vision.block_count": config.vt_num_hidden_layers,
        "clip.vision.attention.head_count": config.vt_num_attention_heads,
        "clip.vision.attention.layer_norm_epsilon": config.projector_ln_eps,
        "clip.vision.image_mean": [0.5, 0.5, 0.5],
        "clip.vision.image_std": [0.5, 0.5, 0.5],
        "clip.vision.projector.scale_factor": config.merge_kernel_size[0],
        # llama.cpp scales a picture into this range: the published 16,384 patches, and a lower end of its own.
        "clip.vision.image_min_pixels": 8 * patch_pixels,
        "clip.vision.image_max_pixels": 16384 * patch_pixels,
        "vision.pos_emb_height": config.init_pos_emb_height,
        "vision.pos_emb_width": config.init_pos_emb_width,
        "vision.pos_emb_time": config.init_pos_emb_time,
    }
