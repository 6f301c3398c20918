"""The frame: quick help, one line for a mistake, and the right exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import click
import pytest

from moonlet.cli import main as frame
from moonlet.cli.lazy import LazyCommand
from moonlet.errors import CheckpointError
from tests.fakes.checkpoints import TINY

HEAVY = ("torch", "numpy", "huggingface_hub", "jinja2", "tiktoken", "rich")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from moonlet.cli.main import run; assert run(['--help']) == 0; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.run(["--help"]) == 0
    out = capsys.readouterr().out
    for name, entry in frame.COMMANDS.items():
        assert f"  {name} " in out
        assert entry.summary in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["inspect", "--isa", "neon"],
        ["inspect", "--chunk-size", "0"],
        ["--log-level", "loud"],
    ],
)
def test_a_wrong_usage_is_one_line_and_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("moonlet: error: ")


def add_command(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Give the frame a command `fail` that raises `error`."""

    @click.command()
    def command() -> None:
        raise error

    module = type(sys)("failing_command")
    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "failing_command", module)
    monkeypatch.setitem(frame.COMMANDS, "fail", LazyCommand("failing_command", "Fails."))


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CheckpointError("a.weight: gone\nreally"), 2, "moonlet: error: a.weight: gone really\n"),
        (click.UsageError("no such thing"), 2, "moonlet: error: no such thing\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (ValueError("odd"), 1, "moonlet: error: internal error: ValueError: odd; run it again with moonlet --debug"),
    ],
)
def test_each_kind_of_error_has_its_line_and_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_command(monkeypatch, error)
    assert frame.run(["fail"]) == code
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert len(err.splitlines()) == 1


def test_debug_keeps_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    add_command(monkeypatch, ValueError("odd"))
    with pytest.raises(ValueError, match="odd"):
        frame.run(["--debug", "fail"])


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "gone"), OSError(errno.EIO, "hung up")])
def test_an_output_that_was_closed_ends_the_run_quietly(
    error: OSError, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    add_command(monkeypatch, error)
    saved = os.dup(1)
    try:
        assert frame.run(["fail"]) == 2
    finally:
        os.dup2(saved, 1)
        os.close(saved)
    assert capfd.readouterr().err == ""


def test_a_pipe_whose_reader_left_gives_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "moonlet", "inspect", str(TINY)]
    with os.fdopen(writer, "wb") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == ""


def test_the_module_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "moonlet", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("moonlet, version ")


def test_too_little_memory_is_said_before_loading(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from moonlet.engine import load, placement

    monkeypatch.setattr(load, "available_memory_bytes", lambda: 1 << 20)
    monkeypatch.setattr(placement.Placer, "tensor", None)  # nothing may be loaded
    assert frame.run(["chat", "--model", str(TINY), "--prompt", "hello"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "0.0 GB available" in line
    assert "use a machine with more memory" in line
