"""What a file is by its first bytes, as far as it helps to say what to do instead."""

from __future__ import annotations

from typing import Literal

HEADER_BYTES = 64
Family = Literal["heic", "avif", "video"]

_HEIC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}


def family_of(header: bytes) -> Family | None:
    """HEIF pictures (by codec) and common video containers; None for anything else."""
    if header[4:8] == b"ftyp":
        brand = header[8:12]
        if brand in _AVIF or b"avif" in header[16:]:
            return "avif"
        return "heic" if brand in _HEIC else "video"
    if header[:4] == b"\x1a\x45\xdf\xa3" or (header[:4] == b"RIFF" and header[8:12] == b"AVI "):
        return "video"
    return None
