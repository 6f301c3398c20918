"""The common form of every block format: int8 codes with a scale, and perhaps a minimum, for each small group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moonlet.formats.gguf.bits import Codes, Floats


@dataclass(frozen=True, slots=True)
class Int8Groups:
    """Blocks expanded to what the kernels multiply: weight = code * scale - minimum, one rounding an operation.

    The identity holds to the last bit in float32 for every format, in ggml's own order of operations, so this is
    both the dequantiser and the specification of the C++ headers.

    codes: [num_blocks, block_weights] int8.
    scales: [num_blocks, groups] float32; a group is block_weights / groups consecutive weights, 16 or 32.
    minimums: the same shape, or None where the format is symmetric.
    """

    codes: Codes
    scales: Floats
    minimums: Floats | None

    def dequantize(self) -> Floats:
        """The weights, [num_blocks, block_weights] float32."""
        num_blocks, groups = self.scales.shape
        weights = self.codes.reshape(num_blocks, groups, -1).astype(np.float32)
        # A block of a damaged file may hold an infinite scale; the caller's value check reports it, not a warning.
        with np.errstate(over="ignore", invalid="ignore"):
            weights *= self.scales[:, :, None]
            if self.minimums is not None:
                weights -= self.minimums[:, :, None]
        return weights.reshape(num_blocks, -1)
