"""`preprocessor_config.json`: how images and video are cut into patches, as the checkpoint publishes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moonlet.config.checks import in_range, positive, supported
from moonlet.config.json_file import read_json_object
from moonlet.config.reader import ObjectReader
from moonlet.errors import ConfigError
from moonlet.model.vision.input import MAX_FRAMES, MAX_SIDE_PATCHES, MERGE

FILE_NAME = "preprocessor_config.json"
_MAX_BYTES = 1 << 20
TIMESTAMP_MODE = "hh:mm:ss.fff"


@dataclass(frozen=True, slots=True)
class MediaProcessorConfig:
    """One field a key of `media_proc_cfg`; the defaults are K2.5's, for checkpoints that come without the file.

    in_patch_limit: patches of an image.  in_patch_limit_each_frame: of a video frame.  in_patch_limit_video: of all
    sampled frames together, None for no limit.  patch_limit_on_one_side: patches along the longer side.
    sample_fps: frames taken a second, at most.  max_num_frames_each_video: frames taken in all, None for no limit.
    temporal_merge_kernel_size: frames of a chunk.
    """

    in_patch_limit: int = 16384
    patch_size: int = 14
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    merge_kernel_size: int = 2
    patch_limit_on_one_side: int = 512
    in_patch_limit_each_frame: int = 4096
    in_patch_limit_video: int | None = None
    sample_fps: float = 2.0
    max_num_frames_each_video: int | None = None
    temporal_merge_kernel_size: int = 4
    timestamp_mode: str = TIMESTAMP_MODE

    def __post_init__(self) -> None:
        """Refuse what the tower cannot read. Raises ConfigError naming the field."""
        for name in ("in_patch_limit", "in_patch_limit_each_frame"):
            in_range(name, getattr(self, name), 4, 1 << 20)
        for name in ("in_patch_limit_video", "max_num_frames_each_video"):
            if getattr(self, name) is not None:
                in_range(name, getattr(self, name), 1, 1 << 30)
        in_range("patch_size", self.patch_size, 1, 256)
        in_range("merge_kernel_size", self.merge_kernel_size, MERGE, MERGE)
        in_range("patch_limit_on_one_side", self.patch_limit_on_one_side, MERGE, MAX_SIDE_PATCHES)
        in_range("temporal_merge_kernel_size", self.temporal_merge_kernel_size, 1, MAX_FRAMES)
        positive("sample_fps", self.sample_fps)
        for deviation in self.image_std:
            positive("image_std", deviation)
        supported("timestamp_mode", self.timestamp_mode, TIMESTAMP_MODE)

    @property
    def factor(self) -> int:
        """Pixels along each side of the square that becomes one token; pictures are padded to multiples of it."""
        return self.patch_size * self.merge_kernel_size


def load_media_config(directory: Path) -> MediaProcessorConfig:
    """Read the file from a checkpoint's directory; K2.5's published values where there is none.

    Raises ConfigError in one line for a value of the wrong type, an impossible one, or one that is not implemented.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return MediaProcessorConfig()
    top = ObjectReader(read_json_object(path, _MAX_BYTES, ConfigError), FILE_NAME)
    values = top.object("media_proc_cfg")
    values.must_be("fixed_output_tokens", None, "pictures keep their own number of tokens")
    try:
        return MediaProcessorConfig(
            in_patch_limit=values.integer("in_patch_limit"),
            patch_size=values.integer("patch_size"),
            image_mean=_channels(values, "image_mean"),
            image_std=_channels(values, "image_std"),
            merge_kernel_size=values.integer("merge_kernel_size"),
            patch_limit_on_one_side=values.integer("patch_limit_on_one_side"),
            in_patch_limit_each_frame=values.integer("in_patch_limit_each_frame"),
            in_patch_limit_video=_optional_integer(values, "in_patch_limit_video"),
            sample_fps=values.number("sample_fps"),
            max_num_frames_each_video=_optional_integer(values, "max_num_frames_each_video"),
            temporal_merge_kernel_size=values.integer("temporal_merge_kernel_size"),
            timestamp_mode=values.string("timestamp_mode"),
        )
    except ConfigError as cause:
        message = str(cause)
        raise ConfigError(message if message.startswith(FILE_NAME) else f"{values.name(message)}") from None


def _optional_integer(values: ObjectReader, key: str) -> int | None:
    return values.integer(key) if values.has(key) else None


def _channels(values: ObjectReader, key: str) -> tuple[float, float, float]:
    found = values.value(key)
    numbers = found if isinstance(found, list) else []
    if len(numbers) != 3 or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise ConfigError(f"{values.name(key)} must be three numbers, one for each of red, green and blue")
    red, green, blue = numbers
    return float(red), float(green), float(blue)
