"""The block formats of GGUF files: the table, expansion to int8 groups, dequantisation, quantisation."""

from moonlet.formats.gguf.dequantize import dequantize, expand
from moonlet.formats.gguf.groups import Int8Groups
from moonlet.formats.gguf.types import BLOCK_TYPES, BlockType, block_type, block_type_numbered

__all__ = [
    "BLOCK_TYPES",
    "BlockType",
    "Int8Groups",
    "block_type",
    "block_type_numbered",
    "dequantize",
    "expand",
]
