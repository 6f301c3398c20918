"""The threads and the instruction set that compiled operations run on."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from moonlet import _kernels

logger = logging.getLogger(__name__)


def build_id() -> bytes:
    """Differs between builds of the kernels: SHA-256 of the compiled extension."""
    return hashlib.sha256(Path(_kernels.__file__).read_bytes()).digest()


class Runtime:
    """Owns the thread pool and the chosen instruction set; every operation takes one as its first argument.

    num_threads: threads that compute, the caller included; None means every core this process may use.
    isa: "auto" (the highest this machine has), "scalar", "avx2", "avx512" or "avx512bf16".
    Raises OptionError if num_threads < 1, or the level is unknown or absent on this machine.

    Calls from several Python threads take turns. The threads end when the Runtime is collected.
    """

    __slots__ = ("native",)

    def __init__(self, num_threads: int | None = None, isa: str = "auto") -> None:
        threads = len(os.sched_getaffinity(0)) if num_threads is None else num_threads
        self.native = _kernels.Runtime(threads, isa)
        logger.info(
            "kernels: %d threads, %s (%s; this machine has %s)",
            self.num_threads,
            self.isa,
            "chosen as the highest" if isa == "auto" else "asked for",
            ", ".join(self.supported_isas),
        )

    @property
    def num_threads(self) -> int:
        return self.native.num_threads

    @property
    def isa(self) -> str:
        return self.native.isa

    @property
    def supported_isas(self) -> tuple[str, ...]:
        """Levels this build and this machine both have, lowest first."""
        return tuple(_kernels.supported_isas())

    def __repr__(self) -> str:
        return f"Runtime(num_threads={self.num_threads}, isa={self.isa!r})"
