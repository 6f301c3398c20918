from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.checkpoints import TINY


@pytest.fixture
def published() -> dict[str, Any]:
    """The tiny checkpoint's config.json, which has every key of the published one."""
    return json.loads((TINY / "config.json").read_text())


@pytest.fixture
def text_only(published: dict[str, Any]) -> dict[str, Any]:
    """The same model as a text-only kimi_k2 checkpoint writes it."""
    return published["text_config"]
