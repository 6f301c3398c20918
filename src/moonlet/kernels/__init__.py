"""Compiled operations on CPU tensors, each with a plain torch reference beside it.

Every operation takes a Runtime first. Results do not depend on company: a token's row has the same bits whatever the
batch, the chunking, the number of threads and the instruction set (DESIGN decision 3).
"""

from __future__ import annotations

from moonlet.kernels.runtime import Runtime

__all__ = ["Runtime"]
