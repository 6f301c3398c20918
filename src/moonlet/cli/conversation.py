"""A conversation in the terminal: what was said, in which mode, and what it cost. Knows no terminal."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from moonlet.cli.attachments import Attachment
from moonlet.engine import Reply


@dataclass(slots=True)
class Conversation:
    """Messages as the engine takes them, without the system message, which may change between turns."""

    system: str = ""
    thinking: bool = True
    messages: list[dict[str, Any]] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    attached: list[Attachment] = field(default_factory=list)
    """Images and videos that go before the text of the next message."""

    def ask(self, text: str) -> list[dict[str, Any]]:
        """The messages to send for the user's next turn; nothing is kept until `keep`."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, *self.messages, self._question(text)]

    def keep(self, text: str, reply: Reply) -> None:
        """Make a question, with what was attached to it, and its answer part of the conversation."""
        self.messages += [self._question(text), reply.to_message()]
        self.attached.clear()
        self.replies.append(reply)

    def clear(self) -> None:
        """Forget what was said and attached; system message and mode stay."""
        self.messages.clear()
        self.attached.clear()
        self.replies.clear()

    def _question(self, text: str) -> dict[str, Any]:
        if not self.attached:
            return {"role": "user", "content": text}
        parts = [attachment.to_content() for attachment in self.attached]
        return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}

    def transcript(self, model: str) -> dict[str, Any]:
        """The conversation as JSON, in the shape of the chat API, with the cost of each reply."""
        return {
            "model": model,
            "thinking": self.thinking,
            "messages": ([{"role": "system", "content": self.system}] if self.system else []) + self.messages,
            "replies": [reply_facts(reply) for reply in self.replies],
        }


def reply_facts(reply: Reply) -> dict[str, Any]:
    """What is worth keeping of a reply beside its message."""
    return {
        "finish_reason": reply.finish_reason,
        "seed": reply.seed,
        "usage": asdict(reply.usage),
        "timings": asdict(reply.timings),
    }
