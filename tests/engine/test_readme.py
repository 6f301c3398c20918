"""The example in the engine's README runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import moonlet.engine
from moonlet.checkpoint.hub import resolve_model
from moonlet.errors import CheckpointError


def test_the_example_runs() -> None:
    try:
        resolve_model(None)
    except CheckpointError as absent:
        pytest.skip(str(absent))
    readme = Path(moonlet.engine.__file__).with_name("README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["stream"].reply.content
