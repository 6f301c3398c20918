"""The interactive chat: read, reply, repeat."""

from __future__ import annotations

from collections.abc import Callable

from moonlet.cli.attachments import Attachment, dragged_in
from moonlet.cli.chat_commands import COMMANDS, ChatContext, attach, run_command
from moonlet.cli.conversation import Conversation
from moonlet.cli.interrupts import end_on_hangup, stop_on_interrupt
from moonlet.cli.line_input import DiscardedLine, line_editing, read_message
from moonlet.cli.progress import ProgressLine
from moonlet.cli.reply_printer import ReplyPrinter
from moonlet.cli.sampling_options import SamplingChoice
from moonlet.cli.terminal import Output
from moonlet.engine import Engine, Reply
from moonlet.errors import UserError
from moonlet.media.options import MediaOptions

_END_NOTES = {"length": "[the reply is cut: max-tokens or the context is used up]", "cancelled": "[stopped]"}


class ChatSession:
    """One user, one conversation, one terminal."""

    def __init__(
        self,
        engine: Engine,
        conversation: Conversation,
        sampling: SamplingChoice,
        output: Output,
        model_name: str,
        media: MediaOptions,
        read_line: Callable[[str], str] = input,
    ) -> None:
        self._engine = engine
        self._conversation = conversation
        self._sampling = sampling
        self._output = output
        self._media = media
        self._read_line = read_line
        self._context = ChatContext(conversation, output, model_name, engine.context_length, self._look_at)

    def run(self) -> None:
        """Talk until the user leaves. Raises OSError when the terminal goes away."""
        with line_editing(command.name for command in COMMANDS), end_on_hangup():
            was_interrupted = False
            while True:
                try:
                    text = read_message(self._output.prompt("> "), self._output.prompt(". "), self._read_line)
                    was_interrupted = False
                    if self._obey(text):
                        return
                except EOFError:
                    self._output.line()
                    return
                except (DiscardedLine, KeyboardInterrupt) as discarded:
                    self._output.line()
                    was_empty = isinstance(discarded, DiscardedLine) and discarded.was_empty
                    if was_empty and was_interrupted:
                        return
                    was_interrupted = was_empty
                    if was_empty:
                        self._output.line("Ctrl+C again or /exit leaves", dim=True)

    def _obey(self, text: str) -> bool:
        """Run a command, attach what was dragged in, or answer a message. Returns whether the chat ends."""
        # Before commands: a dragged file's path begins with a slash too.
        if dragged := dragged_in(text):
            attach(self._context, dragged)
            return False
        if text.startswith("/") and not text.startswith("//"):
            return run_command(self._context, text.strip())
        if text.strip():
            self._answer(text.removeprefix("/") if text.startswith("//") else text)
        return False

    def _answer(self, text: str) -> None:
        """Stream the reply to `text`; what goes wrong is said in one line, and the conversation goes on."""
        try:
            reply = self._stream(text)
        except UserError as error:
            self._output.line(f"error: {error}")
            self._output.line("your message was not kept; /clear starts over, /help lists the commands", dim=True)
            return
        except KeyboardInterrupt:
            self._output.line("[stopped; your message was not kept]", dim=True)
            return
        note = _END_NOTES.get(reply.finish_reason)
        if reply.content or reply.tool_calls:
            self._conversation.keep(text, reply)
        elif reply.finish_reason == "cancelled":
            note = "[stopped before the answer; your message was not kept]"
        else:
            self._conversation.keep(text, reply)
            note = note or "[no answer]"
        if note:
            self._output.line(note, dim=True)

    def _look_at(self, attachment: Attachment) -> str:
        return self._engine.read_media(attachment.part, self._media).summary

    def _stream(self, text: str) -> Reply:
        conversation, output = self._conversation, self._output
        printer = ReplyPrinter(answer=output, thinking=output)
        progress = ProgressLine(output, "reading", lambda tokens: f"{tokens:,}")
        stream = self._engine.stream_chat(
            conversation.ask(text),
            thinking=conversation.thinking,
            sampling=self._sampling.over(self._engine.default_sampling(conversation.thinking)),
            media=self._media,
            on_prefill=progress,
        )
        with stream, stop_on_interrupt(stream), progress:
            for event in stream:
                progress.clear()
                printer.show(event)
            printer.end()
        return stream.reply
