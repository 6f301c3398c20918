"""Writing into pictures, with the free fonts that come with matplotlib (DejaVu, STIX, Computer Modern)."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from moonlet.errors import OptionError
from moonlet.train.pictures.canvas import Canvas

FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "STIXGeneral",
    "STIXGeneralBol",
    "cmtt10",
)


@lru_cache(maxsize=1)
def _folder() -> Path:
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise OptionError("the visual tasks draw with matplotlib's fonts: pip install 'moonlet[train]'")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"


@lru_cache(maxsize=256)
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """One of FONTS at a size in pixels. Raises OptionError where matplotlib is not installed."""
    return ImageFont.truetype(str(_folder() / f"{name}.ttf"), size, layout_engine=ImageFont.Layout.BASIC)


def text_width(text: str, name: str, size: int) -> float:
    """Width in pixels."""
    return font(name, size).getlength(text)


def write(
    frame: Canvas, text: str, name: str, size: int, left: float, middle: float, tint: NDArray[np.float32]
) -> list[float]:
    """Write on one frame [height, width, 3], in place, from `left` with small letters' middle at `middle`.

    Returns the middle of each character, in pixels from the left.
    """
    face = font(name, size)
    top = max(round(middle - size), 0)
    window = frame[top : round(middle + size)]
    mask = Image.new("L", (window.shape[1], window.shape[0]))
    ImageDraw.Draw(mask).text((left, middle - top + size * 0.36), text, fill=255, font=face, anchor="ls")
    cover = (np.asarray(mask, np.float32) / np.float32(255))[:, :, None]
    window *= 1 - cover
    window += cover * tint
    ends = [left + face.getlength(text[: index + 1]) for index in range(len(text))]
    return [(start + end) / 2 for start, end in zip([left, *ends], ends, strict=False)]
