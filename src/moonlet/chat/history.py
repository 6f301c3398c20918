"""Tool-call ids of a conversation as the model expects them.

The template prints the id of a call verbatim, and the id is all that tells the model which tool it was. Clients send
ids of their own making (`call_...`, `toolu_...`, `functions_Bash_0`), after which the K2 family is known to fall
silent. So each call, and the result that answers it, is renamed to `functions.NAME:INDEX` by its place in the
conversation, which is also the id that the model was made to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from moonlet.chat.messages import Message, ToolCall
from moonlet.errors import PromptError


def with_canonical_ids(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same conversation with its calls numbered from 0 and each result naming the call it answers.

    Where an id occurs again, a result belongs to the latest call before it.
    Raises PromptError for a result whose id no earlier call has.
    """
    renamed: dict[str, str] = {}
    num_calls = 0
    result: list[Message] = []
    for index, message in enumerate(messages):
        if message.tool_calls:
            calls = []
            for call in message.tool_calls:
                call_id = f"functions.{call.name}:{num_calls}"
                renamed[call.id] = call_id
                num_calls += 1
                calls.append(ToolCall(call_id, call.name, call.arguments))
            message = replace(message, tool_calls=tuple(calls))
        elif message.role == "tool":
            if message.tool_call_id not in renamed:
                raise PromptError(
                    f"messages[{index}].tool_call_id: tool_call_id {message.tool_call_id[:100]} is not found; "
                    "expected the id of a call in an earlier assistant message"
                )
            message = replace(message, tool_call_id=renamed[message.tool_call_id])
        result.append(message)
    return tuple(result)
