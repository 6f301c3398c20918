"""How much of a context a video may take, and where media may come from."""

from __future__ import annotations

from dataclasses import dataclass, field

from moonlet.config.options import check_options, option
from moonlet.media.limits import MediaLimits


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """What a caller may ask of media. Construction refuses impossible values with OptionError.

    allow_files: whether local paths and file: URLs are read; a server says no, or clients could read its disk.
    """

    video_tokens: int | None = option(
        None,
        "Most tokens of one video: fewer frames a second are taken, then smaller ones, until it fits; what was chosen "
        "is said.",
        low=1,
        unit="tokens",
    )
    video_fps: float | None = option(
        None, "Frames taken of a second of video, at most; what the checkpoint asks for (2) if not given.", low=0.001
    )
    video_frames: int | None = option(
        None, "Frames taken of one video, at most, spread evenly; no limit if not given.", low=1, unit="frames"
    )
    allow_files: bool = True
    limits: MediaLimits = field(default=MediaLimits())

    def __post_init__(self) -> None:
        """Hold every value against its declaration. Raises OptionError."""
        check_options(self)
