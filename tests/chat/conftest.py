"""Fixtures of the dialect: the small vocabulary in the repository, and the published one where it is at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from moonlet.chat.template import ChatTemplate
from moonlet.chat.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "chat"
TINY_DIR = ROOT / "tests" / "vectors" / "tiny-k25"


def read_vectors(name: str) -> list[dict[str, Any]]:
    with (VECTORS / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def tiny_dir() -> Path:
    return TINY_DIR


@pytest.fixture(scope="session")
def tiny() -> Tokenizer:
    """384 real ranks, every single byte among them, and the 256 specials: enough for every rule of the dialect."""
    return Tokenizer.from_dir(TINY_DIR)


@pytest.fixture(scope="session")
def tiny_template(tiny: Tokenizer) -> ChatTemplate:
    return ChatTemplate.from_dir(TINY_DIR, tiny)


@pytest.fixture(scope="session")
def k25_dir() -> Path:
    path = Path(os.environ.get("MOONLET_K25_DIR", ROOT.parent / "shared" / "k25"))
    if not (path / "tiktoken.model").exists():
        pytest.skip(f"the published K2.5 vocabulary is not at {path} (set MOONLET_K25_DIR)")
    return path


@pytest.fixture(scope="session")
def k25(k25_dir: Path) -> Tokenizer:
    return Tokenizer.from_dir(k25_dir)


@pytest.fixture(scope="session")
def k25_template(k25_dir: Path, k25: Tokenizer) -> ChatTemplate:
    return ChatTemplate.from_dir(k25_dir, k25)
