"""The official service's constraints on K2.5, which the Kimi Vendor Verifier checks for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from moonlet.chat.tools import ToolDeclaration
from moonlet.engine.params import SamplingParams
from moonlet.errors import PromptError

# 0.6 and 0.0 beside the documented 1.0: the verifier of July 2026 sends them and expects them to pass.
_TEMPERATURES = {True: (1.0, 0.6, 0.0), False: (0.6,)}
_MAX_TOOLS = 128
_TOOL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9-_]{2,63}")
_MAX_STOP_STRINGS, _MAX_STOP_BYTES = 5, 32


def check_vendor_policy(sampling: SamplingParams, tools: Sequence[ToolDeclaration], *, thinking: bool) -> None:
    """Raises PromptError for what the official service refuses."""
    temperatures = _TEMPERATURES[thinking]
    if sampling.temperature not in temperatures:
        raise _fixed("temperature", sampling.temperature, " or ".join(f"{value:g}" for value in temperatures), thinking)
    if sampling.top_p != 0.95:
        raise _fixed("top_p", sampling.top_p, "0.95", thinking)
    for name, value in (
        ("presence_penalty", sampling.presence_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
    ):
        if value != 0:
            raise _fixed(name, value, "0", thinking)
    if len(sampling.stop) > _MAX_STOP_STRINGS:
        raise PromptError(f"stop: found {len(sampling.stop)} strings, expected at most {_MAX_STOP_STRINGS}")
    if any(len(text.encode()) > _MAX_STOP_BYTES for text in sampling.stop):
        raise PromptError(f"stop: found a longer string, expected at most {_MAX_STOP_BYTES} bytes in each")
    if len(tools) > _MAX_TOOLS:
        raise PromptError(f"tools: found {len(tools)}, expected at most {_MAX_TOOLS}")
    for index, tool in enumerate(tools):
        if not _TOOL_NAME.fullmatch(tool.name):
            raise PromptError(
                f"tools[{index}].function.name: found {tool.name!r}, expected a letter or underscore, then 2 to 63 "
                "letters, digits, underscores or hyphens"
            )


def _fixed(name: str, found: float, expected: str, thinking: bool) -> PromptError:
    mode = "thinking" if thinking else "instant"
    return PromptError(f"{name}: found {found:g}, expected {expected}: it is fixed for this model in {mode} mode")
