"""The `moonlet` command: the list of commands, and how errors end a run.

exit 0   done
exit 1   a mistake of the program: one line, or the traceback with --debug
exit 2   a mistake its user can mend, or an output that was closed: one line at most
exit 130 interrupted
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from moonlet import __version__
from moonlet.cli.lazy import LazyCommand, LazyGroup
from moonlet.errors import UserError
from moonlet.log import LOG_LEVELS, configure_logging

COMMANDS = {
    "chat": LazyCommand("moonlet.cli.chat", "Talk to a model; without --model to the embedded K25-nano."),
    "serve": LazyCommand("moonlet.cli.serve", "Serve a model to OpenAI and Anthropic clients over HTTP."),
    "inspect": LazyCommand("moonlet.cli.inspect", "Say what a checkpoint is, costs, and whether it fits here."),
    "inspect-media": LazyCommand("moonlet.cli.inspect_media", "Say what a model would see of an image or a video."),
    "pull": LazyCommand("moonlet.cli.pull", "Fetch a model from the Hugging Face hub."),
    "convert": LazyCommand("moonlet.cli.convert", "Write a checkpoint as GGUF, or a GGUF file as safetensors."),
    "train": LazyCommand("moonlet.cli.train", "Train K25-nano, the small model of the same architecture."),
    "bench": LazyCommand("moonlet.cli.bench", "Measure how fast models run on this machine."),
}


class InternalError(click.ClickException):
    """A mistake of the program, shown as one line."""

    exit_code = 1


class OutputClosedError(Exception):
    """Whoever read our output went away."""


class Frame(LazyGroup):
    """The top group: turns an unexpected exception into one line unless --debug asks for its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Expected ends pass through to `run`."""
        try:
            return super().invoke(ctx)
        except (UserError, click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as cause:
            if _output_closed(cause):
                # Not passed on as it is: click would end the process itself, with code 1.
                raise OutputClosedError from None
            if ctx.params["debug"]:
                raise
            raise InternalError(
                f"internal error: {type(cause).__name__}: {cause}; "
                "run it again with moonlet --debug and report what it says"
            ) from cause


@click.group(
    cls=Frame,
    commands_table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: moonlet chat --prompt 'which one is bigger, 9.11 or 9.9?'",
)
@click.version_option(__version__, prog_name="moonlet")
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default="warning",
    show_default=True,
    envvar="MOONLET_LOG_LEVEL",
    help="Least severe log lines to show, on standard error.",
)
@click.option("--debug", is_flag=True, envvar="MOONLET_DEBUG", help="Show the traceback of an internal error.")
def cli(log_level: str, debug: bool) -> None:  # noqa: ARG001
    """Runs Kimi K2.5 on hardware people own.

    Every option of the engine can also be set by an environment variable, such as MOONLET_NUM_THREADS for
    --num-threads.
    """
    configure_logging(log_level)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. arguments: those of the process if None."""
    try:
        result = cli.main(None if arguments is None else list(arguments), prog_name="moonlet", standalone_mode=False)
        _flush()
        return result if isinstance(result, int) else 0
    except UserError as error:
        return _fail(str(error), 2)
    except InternalError as error:
        return _fail(error.message, error.exit_code)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        return 130
    except OutputClosedError:
        # Nothing can be said to anyone, and Python must not try when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2


def main() -> None:
    """Entry point of the `moonlet` script."""
    sys.exit(run())


def _fail(message: str, code: int) -> int:
    # One line whatever the message quotes, so that scripts and logs can rely on it.
    click.echo(f"moonlet: error: {' '.join(message.split())}", err=True)
    return code


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        if not _output_closed(error):
            raise
        raise OutputClosedError from None


def _output_closed(error: BaseException) -> bool:
    """Whether the reader of our output went away: a closed pipe, or a terminal that hung up."""
    return isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno == errno.EIO)
