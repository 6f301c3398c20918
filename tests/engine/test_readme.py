"""The examples in the engine's README run as they are written, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import moonlet.engine
from moonlet.checkpoint.hub import resolve_model
from moonlet.errors import CheckpointError


def test_the_examples_run() -> None:
    try:
        resolve_model(None)
    except CheckpointError as absent:
        pytest.skip(str(absent))
    readme = Path(moonlet.engine.__file__).with_name("README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)
    assert names["stream"].reply.content
