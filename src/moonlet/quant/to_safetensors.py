"""A GGUF model to the published safetensors form.

Q4_0 experts become INT4 again, code for code, provided their scales fit BF16; experts of other types are widened to
BF16. A file made by `convert_to_gguf` gives back every tensor it did not round, byte for byte, and the small files of
its source; the vision tower comes from the `mmproj` file beside it.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from moonlet.checkpoint.gguf import GgufCheckpoint, GgufTokenizer
from moonlet.checkpoint.gguf.mmproj import MmprojFile, find_mmproj
from moonlet.checkpoint.gguf.writer import Progress
from moonlet.checkpoint.layout import TensorSpec
from moonlet.checkpoint.write import write_checkpoint
from moonlet.config import Int4Quantization, ModelConfig, parse_model_config, published_config
from moonlet.config.json_file import JsonObject, parse_json_object
from moonlet.errors import ConfigError
from moonlet.formats.gguf.int4 import q4_0_to_int4
from moonlet.quant.source_files import write_source_files

logger = logging.getLogger(__name__)

_IGNORED = ("lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*")


def convert_to_safetensors(
    checkpoint: GgufCheckpoint, directory: Path, progress: Progress | None = None
) -> ModelConfig:
    """Write `checkpoint` to `directory` in the published form and return the config it describes.

    A run that was stopped goes on where it was. Raises CheckpointError or ConfigError in one line, among others where
    a Q4_0 scale does not fit BF16.
    """
    carried = checkpoint.source_files()
    vision = find_mmproj(checkpoint.files[0], checkpoint.config.text)
    config, files = _target(checkpoint, carried, has_vision=vision is not None)
    write_checkpoint(directory, config, partial(_tensor, checkpoint, config, vision), progress=progress)
    # Last, since until then config.json marks the directory as this run's own.
    write_source_files(directory, files)
    _write_ranks(directory / "tiktoken.model", checkpoint.tokenizer)
    return config


def _target(
    checkpoint: GgufCheckpoint, source: Mapping[str, str], has_vision: bool
) -> tuple[ModelConfig, Mapping[str, str]]:
    """The config of the result and the small files that say so; the source's own, unless the weights differ now."""
    packed = _experts_are_q4_0(checkpoint)
    if "config.json" not in source:
        scheme = Int4Quantization(group_size=32, num_bits=4, ignore=_IGNORED) if packed else None
        config = replace(checkpoint.config, quantization=scheme)
        files = {"config.json": _json(published_config(config))}
        return config, {"tokenizer_config.json": _json(_tokenizer_config(checkpoint.tokenizer)), **source, **files}
    facts = parse_json_object(source["config.json"].encode(), "config.json carried by the file", ConfigError)
    config = parse_model_config(facts)
    changed = False
    if config.quantization is not None and not packed:
        for part in (facts, facts.get("text_config")):
            if isinstance(part, dict):
                changed |= part.pop("quantization_config", None) is not None
    if config.vision is not None and not has_vision:
        logger.warning("no vision tower beside %s: the result reads text only", checkpoint.files[0].name)
        facts["vision_config"] = None
        changed = True
    if not changed:
        return config, source
    return parse_model_config(facts), {**source, "config.json": _json(facts)}


def _experts_are_q4_0(checkpoint: GgufCheckpoint) -> bool:
    text = checkpoint.config.text
    layers = (checkpoint.experts(i) for i in range(text.num_hidden_layers) if text.is_moe_layer(i))
    return all(m.kind.name == "Q4_0" for layer in layers for m in (layer.gate_proj, layer.up_proj, layer.down_proj))


def _tensor(
    checkpoint: GgufCheckpoint, config: ModelConfig, vision: MmprojFile | None, name: str, spec: TensorSpec
) -> Tensor:
    """One tensor of the published layout."""
    if vision is not None and name.startswith(("vision_tower.", "mm_projector.")):
        return vision.get(name).view(spec.shape).contiguous()
    published = name.removeprefix(config.tensor_prefix)
    if ".mlp.experts." in published:
        return _expert_tensor(checkpoint, published, spec)
    return checkpoint.get(published).contiguous()


def _expert_tensor(checkpoint: GgufCheckpoint, published: str, spec: TensorSpec) -> Tensor:
    """One of an expert's tensors; packed weights and their scales are both made from the same rows."""
    if spec.contents is not None:
        return torch.tensor(spec.contents, dtype=torch.int32)
    matrix_name, _, last = published.rpartition(".")
    parts = matrix_name.split(".")
    layer_idx, expert_id, matrix = int(parts[2]), int(parts[5]), parts[6]
    layer = checkpoint.experts(layer_idx)
    stored = {"gate_proj": layer.gate_proj, "up_proj": layer.up_proj, "down_proj": layer.down_proj}[matrix][expert_id]
    if last == "weight":
        return stored.dequantize(torch.bfloat16)
    packed, scale = q4_0_to_int4(stored.rows.numpy(), matrix_name)
    return packed if last == "weight_packed" else scale


def _write_ranks(path: Path, tokenizer: GgufTokenizer) -> None:
    """tiktoken.model as published: a line for each token, its bytes in base64 and its rank."""
    ordered = sorted(tokenizer.ranks.items(), key=lambda item: item[1])
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ordered))


def _tokenizer_config(tokenizer: GgufTokenizer) -> JsonObject:
    added = {str(token_id): {"content": name, "special": True} for name, token_id in tokenizer.special_ids.items()}
    config: JsonObject = {
        "added_tokens_decoder": added,
        "bos_token": tokenizer.bos_token,
        "eos_token": tokenizer.eos_token,
        "pad_token": tokenizer.pad_token,
        "unk_token": tokenizer.unk_token,
        "tokenizer_class": "TikTokenTokenizer",
    }
    if tokenizer.chat_template is not None:
        config["chat_template"] = tokenizer.chat_template
    return config


def _json(value: JsonObject) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
