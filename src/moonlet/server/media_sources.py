"""Where the images and videos of a request come from: the request itself, an upload, or (if allowed) the network.

After this every part holds a `data:` URL: nothing behind it opens files or connections on behalf of a client.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

from moonlet.chat.messages import ImagePart, Message, Part, TextPart, VideoPart
from moonlet.errors import PromptError
from moonlet.server.context import Context
from moonlet.server.errors import INVALID, ApiError
from moonlet.server.remote_media import fetch_media


async def resolve_media(messages: Sequence[Message], context: Context) -> tuple[Message, ...]:
    """The conversation with every media part as a `data:` URL. Raises PromptError or ApiError for what may not be."""
    resolved: list[Message] = []
    for message in messages:
        if message.media:
            parts = [await _resolved(part, context) for part in message.parts]
            message = replace(message, content=tuple(parts))
        resolved.append(message)
    return tuple(resolved)


async def _resolved(part: Part, context: Context) -> Part:
    if isinstance(part, TextPart):
        return part
    kind = "image" if isinstance(part, ImagePart) else "video"
    scheme, separator, rest = part.url.strip().partition(":")
    match scheme.lower() if separator else "":
        case "data":
            # Some clients break the base64 into lines or begin it with a blank; neither is part of it.
            return type(part)("".join(part.url.split()))
        case "ms":
            stored = context.files.get(rest.removeprefix("//"))
            if stored is None:
                raise PromptError(f"{kind}_url: file {rest.removeprefix('//')[:60]!r} is not found; upload it again")
            return _embedded(part, stored.content)
        case "http" | "https":
            if not context.options.allow_remote_media:
                raise _unsupported(kind, "remote URLs are disabled")
            return _embedded(part, await fetch_media(part.url.strip(), kind))
        case _:
            raise _unsupported(kind, "expected a data: URL")


def _embedded(part: ImagePart | VideoPart, content: bytes) -> Part:
    kind = "image" if isinstance(part, ImagePart) else "video"
    return type(part)(f"data:{kind}/unknown;base64," + base64.b64encode(content).decode("ascii"))


def _unsupported(kind: str, reason: str) -> ApiError:
    # Clients know these words: they leave the image out and ask again.
    return ApiError(INVALID, f"unsupported {kind} url: {reason}", param=f"{kind}_url")
