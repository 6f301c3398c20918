"""One converted file for all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoint.gguf.files import write_tiny


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint with Q4_0 experts and BF16 elsewhere."""
    return write_tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf")[0]
