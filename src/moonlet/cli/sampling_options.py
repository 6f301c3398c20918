"""The sampling parameters as command-line options, derived from their one declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import wraps
from typing import Any

import click

from moonlet.engine.params import SamplingParams

# Nothing in a terminal chat would show the first two; the third would run every reply to the end of the context; the
# fourth is a table by token ids, which nobody types.
_NOT_OFFERED = {"logprobs", "prompt_logprobs", "ignore_eos", "logit_bias"}
_TYPES: dict[str, type] = {"int": int, "float": float}


class SamplingChoice:
    """What the user chose; the rest follows model and mode, which may change during a conversation."""

    def __init__(self, chosen: dict[str, Any]) -> None:
        """Raises PromptError for an impossible value."""
        self._chosen = chosen
        self.over(SamplingParams())

    def over(self, defaults: SamplingParams) -> SamplingParams:
        """The parameters of the next reply."""
        return replace(defaults, **self._chosen)


def sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `sampling: SamplingChoice`, with an option for each parameter."""
    offered = [item for item in fields(SamplingParams) if item.name not in _NOT_OFFERED]

    @wraps(command)
    def build(**values: Any) -> Any:
        given = {item.name: values.pop(item.name) for item in offered}
        # click gives None or () for what was not said.
        chosen = {name: value for name, value in given.items() if value is not None and value != ()}
        return command(**values, sampling=SamplingChoice(chosen))

    decorated: Callable[..., Any] = build
    for item in reversed(offered):
        annotation = str(item.type)
        is_many = annotation.startswith("tuple")
        name = {"stop_token_ids": "stop-token-id"}.get(item.name, item.name.replace("_", "-"))
        decorated = click.option(
            f"--{name}",
            item.name,
            type=(int if "int" in annotation else str) if is_many else _TYPES[annotation.split(" ")[0]],
            multiple=is_many,
            help=item.metadata["help"],
        )(decorated)
    return decorated
