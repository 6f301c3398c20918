"""Options declared as dataclass fields become click options, environment variables and help texts, declared once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, fields
from functools import wraps
from typing import Any

import click

from moonlet.config import EngineOptions, ModelOptions
from moonlet.media.options import MediaOptions


def options_of(kind: type[Any], argument: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds an option for each field of dataclass `kind` declared with `moonlet.config.options.option`.

    The command receives them as one value of type `kind`, under the keyword `argument`; constructing it checks them.
    """
    declared = [item for item in fields(kind) if item.metadata]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def build(**values: Any) -> Any:
            chosen = {item.name: values.pop(item.name) for item in declared}
            return command(**values, **{argument: kind(**chosen)})

        decorated: Callable[..., Any] = build
        # click lists options in the reverse of the order they are applied in.
        for item in reversed(declared):
            decorated = _option(item)(decorated)
        return decorated

    return decorate


media_options = options_of(MediaOptions, "media")
"""Gives a command `media: MediaOptions`."""
model_options = options_of(ModelOptions, "options")
"""Gives a command `options: ModelOptions`: for one that runs or looks at a model and takes no requests."""
engine_options = options_of(EngineOptions, "options")
"""Gives a command `options: EngineOptions`."""


def _option(item: Field[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    rule = item.metadata
    unit = f" [{rule['unit']}]" if rule["unit"] else ""
    is_many = str(item.type).startswith("tuple")
    return click.option(
        f"--{item.name.replace('_', '-')}",
        item.name,
        type=_click_type(item),
        is_flag=str(item.type) == "bool",
        multiple=is_many,
        default=item.default,
        show_default=item.default is not None and str(item.type) != "bool" and not is_many,
        envvar=f"MOONLET_{item.name.upper()}",
        help=rule["help"] + unit,
    )


def _click_type(item: Field[Any]) -> Any:
    rule = item.metadata
    if rule["choices"] is not None:
        return click.Choice(rule["choices"])
    match str(item.type).split(" ")[0]:
        case "int":
            return click.IntRange(min=rule["low"], max=rule["high"])
        case "float":
            return click.FloatRange(min=rule["low"], max=rule["high"])
        case "bool":
            return bool
        case _:
            return str
