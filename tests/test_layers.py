"""Packages import only what stands before them: DESIGN's rooms, enforced.

Imports are read from the source, wherever they stand: inside a function or under TYPE_CHECKING they bind two packages
just as much.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
# fmt: off
ORDER = (
    "errors", "log", "config", "kernels", "formats", "checkpoint", "quant", "cache", "parallel", "model", "experts",
    "chat", "media", "engine", "server", "agent", "train", "evals", "web", "cli",
)
# fmt: on
ONLY = {
    # The agent talks to models through a provider it is handed.
    "agent": {"errors", "config", "agent"},
    # The public face of the package resolves its names from the engine when they are first used.
    "__init__": {"engine"},
    "__main__": {"cli"},
}
NEVER = {
    # Experts and weights are handed to the model; it does not fetch them.
    "model": {"checkpoint"},
}
EXTENSION = "_kernels"


def modules() -> list[Path]:
    return sorted(path for path in (SOURCE / "moonlet").rglob("*.py"))


def room(path: Path) -> str:
    """The package a file belongs to; the file's own name where it stands at the top."""
    parts = path.relative_to(SOURCE / "moonlet").parts
    return parts[0] if len(parts) > 1 else path.stem


def imported_modules(tree: ast.AST, package: list[str]) -> Iterator[str]:
    """Absolute names of everything imported. package: dotted parts of the package that holds the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "import_module" and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value


def rooms_imported(path: Path) -> set[str]:
    package = ["moonlet", *path.relative_to(SOURCE / "moonlet").parts[:-1]]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = (name.split(".") for name in imported_modules(tree, package))
    known = {*ORDER, EXTENSION}
    return {parts[1] for parts in names if parts[0] == "moonlet" and len(parts) > 1 and parts[1] in known}


def allowed(path: Path) -> set[str]:
    own = room(path)
    if own in ONLY:
        return ONLY[own]
    rooms = set(ORDER[: ORDER.index(own) + 1]) - NEVER.get(own, set())
    return rooms | {EXTENSION} if own == "kernels" else rooms


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_module_imports_only_what_stands_before_it(path: Path) -> None:
    own = room(path)
    assert own in ORDER or own in ONLY, f"{own} is not a room of the design; give it a place in ORDER"
    too_high = rooms_imported(path) - allowed(path)
    assert not too_high, f"{own} may not import {', '.join(sorted(too_high))}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import moonlet.engine.core", "engine"),
        ("from moonlet.cli import main", "cli"),
        ("from moonlet import server", "server"),
        ("def f():\n    from moonlet.train.recipe import x", "train"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import moonlet.web", "web"),
        ("from ..agent import loop", "agent"),
        ("import importlib\nimportlib.import_module('moonlet.evals')", "evals"),
    ],
)
def test_every_way_of_importing_is_seen(source: str, expected: str) -> None:
    names = set(imported_modules(ast.parse(source), ["moonlet", "model"]))
    assert any(name.startswith(f"moonlet.{expected}") for name in names)
