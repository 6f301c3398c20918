"""One turn as it is asked for: the conversation and everything that bears on the reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from moonlet.chat.messages import Message
from moonlet.chat.tools import ToolDeclaration
from moonlet.engine.params import SamplingParams
from moonlet.errors import PromptError


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """What the reply may do with the declared tools.

    auto: call some or none.  none: call none, though they stay in the prompt.  required: call at least one.
    names: the tools that may be called; None for all that are declared.
    """

    mode: Literal["auto", "none", "required"] = "auto"
    names: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class JsonOutput:
    """The answer is one JSON value that `schema` allows. path: where the request gave the schema, for errors."""

    schema: Mapping[str, Any]
    path: str = "response_format"


ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
"""The schema of any JSON object."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A request for the assistant's next turn.

    tools: as the prompt shows them.  thinking: False for instant mode.  parallel_tool_calls: False ends the reply
    after its first call.  thinking_budget: most reasoning tokens, after which the reasoning is closed.
    continues_last: the last message is the beginning of the reply, which goes on from there.
    preserve_thinking: the reasoning of finished turns stays in the prompt, where the template can show it.
    Raises PromptError where the parts contradict each other.
    """

    messages: tuple[Message, ...]
    sampling: SamplingParams
    tools: tuple[ToolDeclaration, ...] = ()
    thinking: bool = True
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    json_output: JsonOutput | None = None
    thinking_budget: int | None = None
    continues_last: bool = False
    preserve_thinking: bool = False

    def __post_init__(self) -> None:
        declared = {tool.name for tool in self.tools}
        unknown = sorted((self.tool_choice.names or frozenset()) - declared)
        if unknown:
            raise PromptError(f"tool_choice: function {unknown[0]!r} is not declared in tools")
        if self.tool_choice.mode == "required" and not self.callable_tools:
            raise PromptError("tool_choice: 'required' needs at least one tool in tools")
        if self.sampling.max_tokens == 0:
            raise PromptError("max_tokens: found 0, expected at least 1")
        if self.sampling.prompt_logprobs is not None:
            raise PromptError("prompt_logprobs: for raw prompts only, a turn has none")
        if self.continues_last:
            if self.json_output is not None:
                raise PromptError("response_format: cannot be combined with a partial message; leave one of them out")
            if not self.messages or self.messages[-1].role != "assistant":
                raise PromptError("messages: only a last message of the assistant can be continued")
            if self.messages[-1].tool_calls or self.messages[-1].media:
                raise PromptError("messages: a message to continue may hold text and reasoning only")

    @property
    def callable_tools(self) -> tuple[ToolDeclaration, ...]:
        """The declared tools that the reply may call."""
        names = self.tool_choice.names
        return tuple(tool for tool in self.tools if names is None or tool.name in names)
