"""A reply on the screen as it comes: thinking dimmed, then the answer. Without tools to declare there are no calls."""

from __future__ import annotations

from moonlet.chat.events import ContentDelta, Event, ReasoningDelta
from moonlet.cli.terminal import Output


class ReplyPrinter:
    """Writes the events of one reply.

    Thinking goes to its own output; where that is the answer's and cannot be dimmed, it stands between two marks.
    """

    def __init__(self, answer: Output, thinking: Output) -> None:
        self._answer = answer
        self._thinking = thinking
        self._needs_marks = thinking is answer and not answer.is_styled
        self._is_thinking = False

    def show(self, event: Event) -> None:
        """Write one event. Raises OSError when the reader has gone."""
        match event:
            case ReasoningDelta():
                if not self._is_thinking:
                    self._is_thinking = True
                    if self._needs_marks:
                        self._thinking.line("[thinking]")
                self._thinking.write(event.text, dim=True)
            case ContentDelta():
                self._end_thinking()
                self._answer.write(event.text)

    def end(self) -> None:
        """Leave the outputs at the start of a line."""
        self._end_thinking()
        self._answer.end_line()

    def _end_thinking(self) -> None:
        if self._is_thinking:
            self._is_thinking = False
            self._thinking.end_line()
            if self._thinking is self._answer:
                self._thinking.line("[answer]" if self._needs_marks else "")
