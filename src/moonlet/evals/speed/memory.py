"""The most memory this process held at once."""

from __future__ import annotations

import gc
from pathlib import Path

_PROC = Path("/proc/self")


def forget_peak(proc: Path = _PROC) -> None:
    """Start the count of `peak_resident_bytes` anew, where the system allows it."""
    gc.collect()
    try:
        (proc / "clear_refs").write_text("5")
    except OSError:
        return


def peak_resident_bytes(proc: Path = _PROC) -> int | None:
    """Bytes resident at the worst moment since `forget_peak`, mapped files included; None where nobody tells."""
    try:
        lines = (proc / "status").read_text().splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith("VmHWM:")]
    return int(found[0].split()[1]) * 1024 if found else None
