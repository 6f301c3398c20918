"""Model facts from config.json and engine options, each declared once and frozen."""

from moonlet.config.model import SUPPORTED_MODEL_TYPES, ModelConfig, load_model_config, parse_model_config
from moonlet.config.options import EngineOptions, ModelOptions
from moonlet.config.publish import published_config
from moonlet.config.quantization import Int4Quantization
from moonlet.config.rope import RopeScaling
from moonlet.config.text import TextConfig
from moonlet.config.vision import VisionConfig

__all__ = [
    "SUPPORTED_MODEL_TYPES",
    "EngineOptions",
    "Int4Quantization",
    "ModelConfig",
    "ModelOptions",
    "RopeScaling",
    "TextConfig",
    "VisionConfig",
    "load_model_config",
    "parse_model_config",
    "published_config",
]
