"""Where an image or a video comes from: a file, or the bytes of a `data:` URL."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from moonlet.config.json_file import one_line
from moonlet.errors import MediaError
from moonlet.media.options import MediaOptions

MediaKind = Literal["image", "video"]


@dataclass(frozen=True, slots=True)
class MediaSource:
    """name: what messages call it.  content: the bytes, or the file that holds them.

    identity: equal for equal content of the same source; a file that is written to gets another one.
    """

    kind: MediaKind
    name: str
    content: Path | bytes
    identity: str

    @property
    def num_bytes(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def open(self) -> BinaryIO:
        """The content as a file. Raises MediaError if it cannot be opened any more."""
        if isinstance(self.content, bytes):
            return io.BytesIO(self.content)
        try:
            return self.content.open("rb")
        except OSError as cause:
            raise MediaError(f"{self.name}: cannot be read ({cause.strerror or cause})") from None


def from_path(path: str | Path, kind: MediaKind) -> MediaSource:
    """A file on this machine. Raises MediaError if it is missing, not a regular file, or empty."""
    path = Path(path).expanduser()
    name = one_line(path.name or str(path), 80)
    try:
        found = path.stat()
    except (OSError, ValueError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "not a valid path"
        raise MediaError(
            f"{one_line(str(path))}: cannot be read ({reason}); give the path of {_a(kind)} file"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        # A pipe would hang, a device may never end.
        raise MediaError(f"{one_line(str(path))}: not a file; give the path of {_a(kind)} file")
    if not os.access(path, os.R_OK):
        raise MediaError(f"{one_line(str(path))}: cannot be read (Permission denied)")
    if found.st_size == 0:
        raise MediaError(f"{name}: empty, 0 bytes; expected {_a(kind)}")
    return MediaSource(kind, name, path, f"{kind} {path.absolute()} {found.st_size} {found.st_mtime_ns}")


def from_url(url: str, kind: MediaKind, options: MediaOptions) -> MediaSource:
    """What `image_url` or `video_url` names: a `data:` URL, a `file:` URL or a plain path.

    Raises MediaError for what is damaged, too large or not allowed; remote URLs are refused by name.
    """
    scheme = url.split(":", 1)[0].lower() if ":" in url[:32] else ""
    if scheme == "data":
        return _from_data_url(url, kind, options.limits.max_data_url_bytes)
    if scheme in ("http", "https", "ftp", "s3", "gs"):
        raise MediaError(
            f"{kind}_url: {scheme}: addresses are not fetched, found {one_line(url, 80)!r}; "
            "download the file and give its path, or send it as a data: URL"
        )
    if not options.allow_files:
        raise MediaError(
            f"{kind}_url: found {one_line(url, 40)!r}, expected a data: URL; local files are not read here"
        )
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise MediaError(
                f"{kind}_url: file: URL of another machine ({one_line(parts.netloc, 80)}); give a local path"
            )
        return from_path(unquote(parts.path), kind)
    return from_path(url, kind)


def _from_data_url(url: str, kind: MediaKind, max_bytes: int) -> MediaSource:
    header, comma, payload = url.partition(",")
    if not comma:
        raise MediaError(f"{kind}_url: a data: URL without a comma; expected data:{kind}/...;base64,...")
    if len(payload) * 3 // 4 > max_bytes:
        raise MediaError(
            f"{kind}_url: a data: URL of {len(payload):,} characters, expected at most {max_bytes:,} bytes"
        )
    try:
        if header.lower().endswith(";base64"):
            data = base64.b64decode(unquote(payload) if "%" in payload else payload, validate=True)
        else:
            data = unquote_to_bytes(payload)
    except (binascii.Error, ValueError):
        raise MediaError(
            f"{kind}_url: failed to decode {kind}: the data: URL is not valid base64; it may be cut short"
        ) from None
    if not data:
        raise MediaError(f"{kind}_url: the data: URL is empty; expected {_a(kind)}")
    digest = hashlib.sha256(data).hexdigest()
    return MediaSource(kind, f"{kind}_url", data, f"{kind} {digest}")


def _a(kind: MediaKind) -> str:
    return "an image" if kind == "image" else "a video"
