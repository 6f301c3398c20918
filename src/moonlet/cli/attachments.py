"""Images and videos that go with a message: named by an option, by a command, or dragged into the terminal."""

from __future__ import annotations

import mimetypes
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from moonlet.chat.messages import ImagePart, VideoPart
from moonlet.media.source import MediaKind, from_path

# What Python's own table of file types lacks.
_MORE_TYPES = {".mkv": "video/x-matroska", ".avif": "image/avif", ".webp": "image/webp", ".ts": "video/mp2t"}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that exists, and what it is shown as."""

    kind: MediaKind
    path: Path

    @property
    def url(self) -> str:
        """The file as a file: URL."""
        return self.path.absolute().as_uri()

    @property
    def part(self) -> ImagePart | VideoPart:
        """What the engine opens."""
        return ImagePart(self.url) if self.kind == "image" else VideoPart(self.url)

    def to_content(self) -> dict[str, Any]:
        """The content part of a message."""
        key = f"{self.kind}_url"
        return {"type": key, key: {"url": self.url}}


def attachment(kind: MediaKind, path: str) -> Attachment:
    """The file at `path`, quoted or escaped as a shell would have it. Raises MediaError if there is no such file."""
    words = _words(path)
    plain = path if len(words) != 1 else words[0]
    # A name with spaces may be typed as it is.
    chosen = path if Path(path).expanduser().exists() else plain
    from_path(chosen, kind)
    return Attachment(kind, Path(chosen).expanduser())


def dragged_in(line: str) -> tuple[Attachment, ...]:
    """The media files that `line` names, if it names such files and nothing else; terminals paste a dragged file so."""
    found = []
    for word in _words(line):
        path = Path(unquote(urlsplit(word).path) if word.startswith("file://") else word).expanduser()
        kind = kind_of(path.name)
        if kind is None or not path.is_file():
            return ()
        found.append(Attachment(kind, path))
    return tuple(found)


def kind_of(name: str) -> MediaKind | None:
    """What a file is by the end of its name."""
    match (mimetypes.guess_type(name)[0] or _MORE_TYPES.get(Path(name).suffix.lower(), "")).split("/")[0]:
        case "image":
            return "image"
        case "video":
            return "video"
        case _:
            return None


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []
