"""`ModelConfig` back to the config.json that the published checkpoints use, for checkpoints written here."""

from __future__ import annotations

from dataclasses import asdict

from moonlet.config.json_file import JsonObject
from moonlet.config.model import ModelConfig
from moonlet.config.quantization import Int4Quantization
from moonlet.config.text import TextConfig
from moonlet.config.vision import VisionConfig

_ARCHITECTURES = {
    "kimi_k25": "KimiK25ForConditionalGeneration",
    "kimi_k2": "DeepseekV3ForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
}


def published_config(config: ModelConfig) -> JsonObject:
    """The object to write as config.json; `parse_model_config` of it gives the same facts."""
    text = _text(config.text)
    if config.quantization is not None:
        text["quantization_config"] = _quantization(config.quantization)
    if config.model_type != "kimi_k25":
        return {"architectures": [_ARCHITECTURES[config.model_type]], **text, "model_type": config.model_type}
    top: JsonObject = {
        "architectures": [_ARCHITECTURES[config.model_type]],
        "bos_token_id": config.text.bos_token_id,
        "dtype": "bfloat16",
        "eos_token_id": text["eos_token_id"],
        "model_type": config.model_type,
        "pad_token_id": config.text.pad_token_id,
        "text_config": {"architectures": [_ARCHITECTURES["kimi_k2"]], **text},
        "tie_word_embeddings": config.text.tie_word_embeddings,
        "vision_config": None if config.vision is None else _vision(config.vision),
    }
    if config.media_placeholder_token_id is not None:
        top["media_placeholder_token_id"] = config.media_placeholder_token_id
    return top


def _vision(vision: VisionConfig) -> JsonObject:
    return {**asdict(vision), "merge_kernel_size": list(vision.merge_kernel_size)}


def _text(text: TextConfig) -> JsonObject:
    values = asdict(text)
    eos = values.pop("eos_token_ids")
    return {
        **values,
        "attention_bias": False,
        "dtype": "bfloat16",
        "eos_token_id": eos[0] if len(eos) == 1 else list(eos),
        "num_key_value_heads": text.num_attention_heads,
        "num_nextn_predict_layers": 0,
    }


def _quantization(scheme: Int4Quantization) -> JsonObject:
    weights: JsonObject = {
        "actorder": None,
        "block_structure": None,
        "dynamic": False,
        "group_size": scheme.group_size,
        "num_bits": scheme.num_bits,
        "observer": "minmax",
        "observer_kwargs": {},
        "strategy": "group",
        "symmetric": True,
        "type": "int",
    }
    group = {"input_activations": None, "output_activations": None, "targets": ["Linear"], "weights": weights}
    return {
        "config_groups": {"group_0": group},
        "format": "pack-quantized",
        "ignore": list(scheme.ignore),
        "kv_cache_scheme": None,
        "quant_method": "compressed-tensors",
        "quantization_status": "compressed",
    }
