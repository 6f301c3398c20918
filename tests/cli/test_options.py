"""Options declared once appear as flags, environment variables and help."""

from __future__ import annotations

from dataclasses import dataclass, fields

import click
import pytest
from click.testing import CliRunner

from moonlet.cli.main import run
from moonlet.cli.options import engine_options, options_of
from moonlet.config import EngineOptions, ModelOptions
from moonlet.config.options import check_options, option
from moonlet.errors import OptionError


@click.command()
@engine_options
def show(options: EngineOptions) -> None:
    click.echo(repr(options))


def test_without_flags_the_defaults_are_those_of_the_declaration() -> None:
    assert CliRunner().invoke(show, []).output == f"{EngineOptions()!r}\n"


def test_flags_and_environment_set_the_same_fields() -> None:
    wanted = EngineOptions(num_threads=3, dense="int8", context_length=4096, reference=True)
    flags = ["--num-threads", "3", "--dense", "int8", "--context-length", "4096", "--reference"]
    assert CliRunner().invoke(show, flags).output == f"{wanted!r}\n"
    names = {"NUM_THREADS": "3", "DENSE": "int8", "CONTEXT_LENGTH": "4096", "REFERENCE": "1"}
    environment = {f"MOONLET_{name}": value for name, value in names.items()}
    assert CliRunner(env=environment).invoke(show, []).output == f"{wanted!r}\n"


def test_help_holds_every_field_with_its_text_and_unit() -> None:
    words = " ".join(CliRunner().invoke(show, ["--help"]).output.split())
    for item in fields(EngineOptions):
        assert f"--{item.name.replace('_', '-')}" in words
        assert item.metadata["help"].split(";")[0].split(":")[0] in words
    assert "[tokens]" in words


@pytest.mark.parametrize("command", [["inspect"], ["bench", "run", "MODEL"]])
def test_a_command_that_takes_no_requests_has_no_options_for_them(command, capsys):
    beyond = {item.name for item in fields(EngineOptions)} - {item.name for item in fields(ModelOptions)}
    assert {"kv_dir", "kv_dir_gib", "max_running", "max_queue"} == beyond
    for name in beyond:
        flag = f"--{name.replace('_', '-')}"
        assert run([*command, flag, "1"]) == 2
        assert f"No such option '{flag}'" in capsys.readouterr().err


@dataclass(frozen=True, slots=True)
class Wishes:
    warmth: float = option(0.5, "How warm.", low=0.0, high=2.0)
    name: str | None = option(None, "What to call it.")

    def __post_init__(self) -> None:
        check_options(self)


def test_any_dataclass_of_options_becomes_flags() -> None:
    @click.command()
    @options_of(Wishes, "wishes")
    def wish(wishes: Wishes) -> None:
        click.echo(f"{wishes.warmth} {wishes.name}")

    assert CliRunner().invoke(wish, ["--warmth", "1.5", "--name", "x"]).output == "1.5 x\n"
    assert CliRunner().invoke(wish, ["--warmth", "3"]).exit_code == 2
    with pytest.raises(OptionError, match="warmth is nan"):
        Wishes(warmth=float("nan"))
