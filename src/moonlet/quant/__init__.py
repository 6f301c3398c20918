"""Conversion between checkpoint formats."""

from moonlet.quant.to_gguf import GgufChoice, convert_to_gguf
from moonlet.quant.to_safetensors import convert_to_safetensors

__all__ = ["GgufChoice", "convert_to_gguf", "convert_to_safetensors"]
