"""Between the training state and a checkpoint in the published format, in both directions."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from moonlet.config import load_model_config, published_config
from moonlet.errors import CheckpointError
from moonlet.formats import int4g32
from moonlet.train.layout import expert_prefixes, nano_config, published_name, shape_of, trainable_name
from moonlet.train.pictures import CHUNK_FRAMES, PATCH_SIDE
from moonlet.train.quantise import int4_groups
from moonlet.train.shape import NanoShape
from moonlet.train.vocabulary import PLAIN_SPECIALS, Vocabulary

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
KEPT_IN_FLOAT32 = "e_score_correction_bias"


def published_tensors(weights: dict[str, Tensor], shape: NanoShape) -> dict[str, Tensor]:
    """Every tensor of the checkpoint by its published name: experts packed INT4, the router's bias F32, the rest BF16.

    weights: a `NanoModel`'s state, float32.
    """
    left = dict(weights)
    tensors: dict[str, Tensor] = {}
    for stacked, published in expert_prefixes(shape):
        codes, scales = int4_groups(left.pop(stacked).float().cpu())
        packed = int4g32.pack(codes.to(torch.int8))
        for expert_idx in range(codes.shape[0]):
            name = published.format(expert_idx)
            tensors[f"{name}.weight_packed"] = packed[expert_idx].contiguous()
            tensors[f"{name}.weight_scale"] = scales[expert_idx].contiguous()
            tensors[f"{name}.weight_shape"] = torch.tensor(codes.shape[1:], dtype=torch.int32)
    for name, tensor in left.items():
        dtype = torch.float32 if name.endswith(KEPT_IN_FLOAT32) else torch.bfloat16
        tensors[name] = tensor.detach().to("cpu", dtype).contiguous()
    return {published_name(name, shape): tensor for name, tensor in tensors.items()}


def trainable_weights(tensors: dict[str, Tensor], shape: NanoShape) -> dict[str, Tensor]:
    """A `NanoModel`'s state, float32, from published tensors: the reverse of `published_tensors` up to its rounding."""
    left = {trainable_name(name, shape): tensor for name, tensor in tensors.items()}
    weights: dict[str, Tensor] = {}
    for stacked, published in expert_prefixes(shape):
        experts = []
        for expert_idx in range(shape.n_routed_experts):
            name = published.format(expert_idx)
            left.pop(f"{name}.weight_shape")
            experts.append(int4g32.dequantize(left.pop(f"{name}.weight_packed"), left.pop(f"{name}.weight_scale")))
        weights[stacked] = torch.stack(experts)
    weights.update({name: tensor.float() for name, tensor in left.items()})
    return weights


def export_checkpoint(weights: dict[str, Tensor], shape: NanoShape, vocabulary: Vocabulary, folder: Path) -> None:
    """Write config, vocabulary and weights to `folder`, each file whole or not at all; other files there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = published_tensors(weights, shape)
    fresh = folder / (WEIGHTS_FILE + ".new")
    save_file(tensors, fresh, metadata={"format": "pt"})
    fresh.chmod(0o644)  # safetensors writes for the owner only
    fresh.replace(folder / WEIGHTS_FILE)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict.fromkeys(sorted(tensors), WEIGHTS_FILE)}
    config = published_config(nano_config(shape, vocabulary))
    # So small a model is right most often where it takes its best guess; its scores are measured that way too.
    generation = {
        "max_length": shape.max_position_embeddings,
        "eos_token_id": vocabulary.special("<|im_end|>"),
        "do_sample": False,
    }
    _write_json(folder / INDEX_FILE, index)
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", generation)
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(vocabulary))
    if shape.vision is not None:
        _write_json(folder / "preprocessor_config.json", _PREPROCESSOR_CONFIG)
    _write(folder / "tiktoken.model", vocabulary.tiktoken_model())


def import_checkpoint(folder: Path) -> tuple[dict[str, Tensor], NanoShape]:
    """The weights of a K25-nano checkpoint, to train on from. Raises CheckpointError or ConfigError."""
    shape = shape_of(load_model_config(folder))
    path = folder / WEIGHTS_FILE
    if not path.exists():
        raise CheckpointError(f"{path}: no such file; training can go on from a K25-nano checkpoint, which is one file")
    try:
        return trainable_weights(load_file(path), shape), shape
    except KeyError as missing:
        raise CheckpointError(f"{path}: no tensor {missing.args[0]}; expected a K25-nano checkpoint") from None


def _tokenizer_config(vocabulary: Vocabulary) -> dict[str, object]:
    """Special tokens as the published file lists them."""
    added = {}
    for name, token_id in vocabulary.specials.items():
        flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
        added[str(token_id)] = {"content": name, **flags, "special": name not in PLAIN_SPECIALS}
    return {
        "added_tokens_decoder": added,
        "additional_special_tokens": [
            name for name in vocabulary.specials if name not in PLAIN_SPECIALS and name not in _ROLES.values()
        ],
        "clean_up_tokenization_spaces": False,
        **_ROLES,
        "extra_special_tokens": {},
        "model_max_length": 1000000000000000019884624838656,
        "tokenizer_class": "TikTokenTokenizer",
    }


# As published: what pictures and videos go through before the tower.
_PREPROCESSOR_CONFIG = {
    "media_proc_cfg": {
        "in_patch_limit": 16384,
        "patch_size": PATCH_SIDE,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "merge_kernel_size": 2,
        "fixed_output_tokens": None,
        "patch_limit_on_one_side": 512,
        "in_patch_limit_each_frame": 4096,
        "in_patch_limit_video": None,
        "sample_fps": 2.0,
        "max_num_frames_each_video": None,
        "temporal_merge_kernel_size": CHUNK_FRAMES,
        "timestamp_mode": "hh:mm:ss.fff",
        "config_type": "media_proc.processors.moonvit.MoonViTMediaProcessorConfig",
    }
}

_ROLES = {"bos_token": "[BOS]", "eos_token": "[EOS]", "pad_token": "[PAD]", "unk_token": "[UNK]"}


def _write_json(path: Path, value: object) -> None:
    _write(path, (json.dumps(value, indent=2) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
