"""`moonlet train nano`: trains, goes on, measures, and refuses what it cannot do in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from moonlet.cli.main import run
from moonlet.train.shape import NanoShape


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = NanoShape(
        hidden_size=64,
        num_hidden_layers=2,
        intermediate_size=64,
        moe_intermediate_size=32,
        n_routed_experts=4,
        num_experts_per_tok=2,
    )
    monkeypatch.setattr("moonlet.train.run.NanoShape", lambda: shape)


def train(folder: Path, *arguments: str) -> int:
    return run(["train", "nano", "--output-dir", str(folder), "--rows", "2", "--check-every", "0", *arguments])


def test_it_trains_exports_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path, "--steps", "1") == 0
    assert train(tmp_path, "--steps", "2") == 0
    assert f"exported to {tmp_path / 'checkpoint'}" in capsys.readouterr().out
    assert "the first 2 of" in (tmp_path / "checkpoint" / "README.md").read_text(encoding="utf-8")


def test_another_seed_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path, "--steps", "1") == 0
    assert train(tmp_path, "--steps", "2", "--seed", "7") == 2
    assert "go on with --seed 25" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--output-dir is missing"),
        (("--output-dir", "x", "--update-card"), "belong to --evaluate"),
        (("--evaluate", "--checkpoint", "/no/such/folder"), "no such directory"),
        (("--output-dir", "x", "--row-tokens", "1"), "'--row-tokens'"),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["train", "nano", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]
