"""Find values no weight may have, in bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor

_CHUNK_ELEMENTS = 1 << 22


def count_nonfinite(tensor: Tensor) -> int:
    """How many elements are NaN or infinite.  tensor: any shape, contiguous; integers hold none by definition.

    Works in pieces, so that a mapped tensor larger than memory can be scanned.
    """
    if not tensor.dtype.is_floating_point:
        return 0
    flat = tensor.reshape(-1)
    found = 0
    for start in range(0, flat.numel(), _CHUNK_ELEMENTS):
        piece = flat[start : start + _CHUNK_ELEMENTS]
        # One non-finite value makes the sum non-finite. A sum may also overflow on its own; the count decides.
        if not bool(torch.isfinite(piece.sum(dtype=torch.float64))):
            found += int((~torch.isfinite(piece)).sum())
    return found
