"""The table of tensor types a GGUF file may hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moonlet.errors import CheckpointError
from moonlet.formats.gguf import codebook_quants, k_quants, simple
from moonlet.formats.gguf.bits import Bytes
from moonlet.formats.gguf.groups import Int8Groups


@dataclass(frozen=True, slots=True)
class BlockType:
    """One row: how many weights one block holds, in how many bytes.

    group_weights: weights that share a scale once expanded (16 or 32); 0 for plain floats.
    expand: [num_blocks, block_bytes] uint8 to int8 groups; None for plain floats.
    """

    name: str
    ggml_type: int
    block_weights: int
    block_bytes: int
    group_weights: int
    expand: Callable[[Bytes], Int8Groups] | None

    @property
    def bits_per_weight(self) -> float:
        """Bits a stored weight takes, its share of the scales included."""
        return 8 * self.block_bytes / self.block_weights

    def row_bytes(self, num_weights: int) -> int:
        """Bytes of one row of `num_weights` weights. Raises CheckpointError if the row is not whole blocks."""
        if num_weights % self.block_weights:
            raise CheckpointError(
                f"a row of {num_weights} weights is not a multiple of the {self.block_weights} in a {self.name} block"
            )
        return num_weights // self.block_weights * self.block_bytes


BLOCK_TYPES = (
    BlockType("F32", 0, 1, 4, 0, None),
    BlockType("F16", 1, 1, 2, 0, None),
    BlockType("BF16", 30, 1, 2, 0, None),
    BlockType("Q4_0", 2, 32, 18, 32, simple.expand_q4_0),
    BlockType("Q4_1", 3, 32, 20, 32, simple.expand_q4_1),
    BlockType("Q5_0", 6, 32, 22, 32, simple.expand_q5_0),
    BlockType("Q5_1", 7, 32, 24, 32, simple.expand_q5_1),
    BlockType("Q8_0", 8, 32, 34, 32, simple.expand_q8_0),
    BlockType("Q2_K", 10, 256, 84, 16, k_quants.expand_q2_k),
    BlockType("Q3_K", 11, 256, 110, 16, k_quants.expand_q3_k),
    BlockType("Q4_K", 12, 256, 144, 32, k_quants.expand_q4_k),
    BlockType("Q5_K", 13, 256, 176, 32, k_quants.expand_q5_k),
    BlockType("Q6_K", 14, 256, 210, 16, k_quants.expand_q6_k),
    BlockType("IQ1_S", 19, 256, 50, 32, codebook_quants.expand_iq1_s),
    BlockType("IQ1_M", 29, 256, 56, 16, codebook_quants.expand_iq1_m),
    BlockType("IQ2_XXS", 16, 256, 66, 32, codebook_quants.expand_iq2_xxs),
    BlockType("IQ2_XS", 17, 256, 74, 16, codebook_quants.expand_iq2_xs),
    BlockType("IQ2_S", 22, 256, 82, 16, codebook_quants.expand_iq2_s),
    BlockType("IQ3_XXS", 18, 256, 98, 32, codebook_quants.expand_iq3_xxs),
    BlockType("IQ3_S", 21, 256, 110, 32, codebook_quants.expand_iq3_s),
    BlockType("IQ4_NL", 20, 32, 18, 32, simple.expand_iq4_nl),
    BlockType("IQ4_XS", 23, 256, 136, 32, codebook_quants.expand_iq4_xs),
    BlockType("TQ1_0", 34, 256, 54, 32, k_quants.expand_tq1_0),
    BlockType("TQ2_0", 35, 256, 66, 32, k_quants.expand_tq2_0),
    BlockType("MXFP4", 39, 32, 17, 32, simple.expand_mxfp4),
    BlockType("NVFP4", 40, 64, 36, 16, simple.expand_nvfp4),
)
"""Source: ggml.h (enum ggml_type) and ggml-common.h of llama.cpp."""

_BY_NAME = {row.name: row for row in BLOCK_TYPES}
_BY_NUMBER = {row.ggml_type: row for row in BLOCK_TYPES}


def block_type(name: str) -> BlockType:
    """The row called `name`, such as "Q4_K". Raises CheckpointError listing the names if there is none."""
    row = _BY_NAME.get(name)
    if row is None:
        raise CheckpointError(f"no GGUF type is called {name!r}; known are {', '.join(_BY_NAME)}")
    return row


def block_type_numbered(ggml_type: int) -> BlockType | None:
    """The row with this number in files, or None where moonlet does not know the type."""
    return _BY_NUMBER.get(ggml_type)
