"""GGUF files: read and verified strictly, mapped, written, converted to and from the published form."""

from moonlet.checkpoint.gguf.checkpoint import BlockLayer, GgufCheckpoint, open_gguf
from moonlet.checkpoint.gguf.tokenizer import GgufTokenizer

__all__ = ["BlockLayer", "GgufCheckpoint", "GgufTokenizer", "open_gguf"]
