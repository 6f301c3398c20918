"""What a page's divs say is where a browser puts them, so overlap of divs is overlap of what is rendered."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageColor

from moonlet.train.tasks import Split, draw
from moonlet.train.tasks.page import SIDE, PageCode, parse_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

WHITE = (255, 255, 255)


def rendered(html: str, folder: Path) -> NDArray[np.uint8]:
    """The page's upper left corner as Chromium draws it: [SIDE, SIDE, 3]."""
    page, shot = folder / "page.html", folder / "page.png"
    page.write_text(html)
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1"]
    # A window smaller than this is widened.
    command = [CHROMIUM, *flags, "--window-size=600,600", f"--screenshot={shot}", f"--user-data-dir={folder}/profile"]
    subprocess.run([*command, page.as_uri()], check=True, capture_output=True, timeout=120)
    return np.asarray(Image.open(shot).convert("RGB"))[:SIDE, :SIDE]


def test_a_browser_draws_the_boxes_where_the_divs_say(tmp_path: Path) -> None:
    rng = Random(11)
    for number in range(2):
        html = draw(PageCode(), rng, Split.HELD_OUT).expected
        wanted = np.full((SIDE, SIDE, 3), WHITE, np.uint8)
        for box in parse_page(html):
            colour = ImageColor.getrgb(box.colour)
            wanted[box.top : box.top + box.height, box.left : box.left + box.width] = colour
        folder = tmp_path / str(number)
        folder.mkdir()
        same = (rendered(html, folder) == wanted).all(axis=2)
        # All but the letters: one in the upper left corner of each box.
        for box in parse_page(html):
            letter = same[box.top : box.top + 22, box.left : box.left + 18]
            assert letter.mean() > 0.5
            letter[:] = True
        assert same.all()
