"""A file as memory: pages of the kernel's cache, never a copy."""

from __future__ import annotations

import mmap
from pathlib import Path

from moonlet.errors import CheckpointError

# Named by the mmap module from Python 3.13 on; the value is Linux's on every architecture torch supports.
_MAP_NORESERVE: int = getattr(mmap, "MAP_NORESERVE", 0x4000)


def map_file(path: Path) -> mmap.mmap:
    """Map `path` privately: a stray write would stay in this process and never reach the file.

    The pages belong to the kernel's cache, which may drop and re-read them at any time, so a file larger than memory
    can be used. Raises CheckpointError naming the file if it cannot be opened or mapped.
    """
    try:
        with path.open("rb") as file:
            return mmap.mmap(
                file.fileno(),
                0,
                # Without NORESERVE the kernel would count a private mapping against memory it never needs.
                flags=mmap.MAP_PRIVATE | _MAP_NORESERVE,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
            )
    except ValueError:
        raise CheckpointError(f"{path.name}: the file is empty; fetch it again") from None
    except OSError as cause:
        raise CheckpointError(f"{path.name}: cannot be mapped ({cause.strerror or cause})") from None
