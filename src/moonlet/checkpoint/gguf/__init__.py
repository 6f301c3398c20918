"""GGUF files: read and verified strictly, mapped, written, converted to and from the published form."""

from moonlet.checkpoint.gguf.checkpoint import BlockLayer, GgufCheckpoint, open_gguf
from moonlet.checkpoint.gguf.mmproj import (
    MmprojFile,
    config_with_vision,
    find_mmproj,
    open_mmproj,
    refuse_mmproj,
    vision_of,
)
from moonlet.checkpoint.gguf.tokenizer import GgufTokenizer

__all__ = [
    "BlockLayer",
    "GgufCheckpoint",
    "GgufTokenizer",
    "MmprojFile",
    "config_with_vision",
    "find_mmproj",
    "open_gguf",
    "open_mmproj",
    "refuse_mmproj",
    "vision_of",
]
