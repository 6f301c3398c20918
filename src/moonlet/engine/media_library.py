"""Images and videos of a conversation, read once: every turn names all of them again."""

from __future__ import annotations

from moonlet.chat.messages import ImagePart, VideoPart
from moonlet.engine.byte_lru import ByteLru
from moonlet.media.config import MediaProcessorConfig
from moonlet.media.image import PreparedImage, load_image
from moonlet.media.options import MediaOptions
from moonlet.media.source import from_url
from moonlet.media.video import PreparedVideo, open_video

_KEPT_BYTES = 64 << 20


class MediaLibrary:
    """Opens what message parts name, and remembers the latest for as long as their files do not change."""

    def __init__(self, config: MediaProcessorConfig) -> None:
        self._config = config
        self._kept: ByteLru[PreparedImage | PreparedVideo] = ByteLru(_KEPT_BYTES)

    def read(self, part: ImagePart | VideoPart, options: MediaOptions) -> PreparedImage | PreparedVideo:
        """The image or video of `part`. Raises MediaError in one line if it cannot be read or is not allowed."""
        source = from_url(part.url, "image" if isinstance(part, ImagePart) else "video", options)
        key = (source.identity, options)
        found = self._kept.get(key)
        if found is None:
            if isinstance(part, ImagePart):
                found = load_image(source, self._config, options.limits)
            else:
                found = open_video(source, self._config, options)
            self._kept.put(key, found, found.num_bytes)
        return found
