"""Whether a request thinks: the several ways in which clients say so, in their order of precedence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moonlet.errors import PromptError
from moonlet.server.schema import Part

_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")


class ThinkingField(Part):
    """`thinking` of the official API and of Messages."""

    type: str | None = None
    keep: str | None = None
    effort: Any = None
    budget_tokens: int | None = None


class ReasoningField(Part):
    """`reasoning` of Responses and OpenRouter."""

    effort: str | None = None
    enabled: bool | None = None
    summary: Any = None


class TemplateKwargs(Part):
    """`chat_template_kwargs` of vLLM and SGLang."""

    thinking: bool | None = None
    enable_thinking: bool | None = None
    preserve_thinking: bool | None = None


@dataclass(frozen=True, slots=True)
class ThinkingWish:
    """All that one request says about thinking, by the names of its fields."""

    thinking: ThinkingField | None = None
    chat_template_kwargs: TemplateKwargs | None = None
    enable_thinking: bool | None = None
    reasoning_effort: str | None = None
    reasoning: ReasoningField | None = None
    think: bool | None = None

    @property
    def is_on(self) -> bool | None:
        """What the first of the ways that is used says; None if none is. Raises PromptError for unknown words."""
        kwargs = self.chat_template_kwargs or TemplateKwargs()
        reasoning = self.reasoning or ReasoningField()
        ways = (
            _by_type(self.thinking),
            kwargs.thinking,
            kwargs.enable_thinking,
            self.enable_thinking,
            _by_effort("reasoning_effort", self.reasoning_effort),
            _by_effort("reasoning.effort", reasoning.effort),
            reasoning.enabled,
            self.think,
        )
        return next((way for way in ways if way is not None), None)

    @property
    def preserves(self) -> bool:
        """Whether the reasoning of finished turns should stay in the prompt."""
        kwargs = self.chat_template_kwargs or TemplateKwargs()
        return bool(kwargs.preserve_thinking) or (self.thinking is not None and self.thinking.keep == "all")


def _by_type(field: ThinkingField | None) -> bool | None:
    if field is None:
        return None
    if field.type is None or field.type in ("enabled", "adaptive"):
        return True
    if field.type == "disabled":
        return False
    raise PromptError(f"thinking.type: found {field.type!r}, expected 'enabled', 'adaptive' or 'disabled'")


def _by_effort(path: str, effort: str | None) -> bool | None:
    # K2.5 has no levels of effort: all of them but none mean on.
    if effort is None:
        return None
    if effort == "none":
        return False
    if effort in _EFFORTS:
        return True
    raise PromptError(f"{path}: found {effort!r}, expected none, {', '.join(_EFFORTS)}")
