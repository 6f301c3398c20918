"""The commands of an interactive chat: lines that begin with a slash."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from moonlet.cli.attachments import Attachment, attachment
from moonlet.cli.conversation import Conversation
from moonlet.cli.reply_stats import conversation_line, reply_line
from moonlet.cli.terminal import Output
from moonlet.errors import UserError
from moonlet.media.source import MediaKind


@dataclass(frozen=True, slots=True)
class ChatContext:
    """What commands work on.

    context_length: tokens that prompt and reply may have together.
    look_at: what the model will see of an image or video, in a line; raises MediaError.
    """

    conversation: Conversation
    output: Output
    model_name: str
    context_length: int
    look_at: Callable[[Attachment], str]


@dataclass(frozen=True, slots=True)
class ChatCommand:
    """run: gets the text after the name; returns whether the chat ends."""

    name: str
    argument: str
    summary: str
    run: Callable[[ChatContext, str], bool]


def run_command(context: ChatContext, line: str) -> bool:
    """Run a line that begins with a slash. Returns whether the chat ends. What is wrong is said in one line."""
    name, _, argument = line.partition(" ")
    command = next((command for command in COMMANDS if command.name == name), None)
    if command is None:
        context.output.line(f"unknown command {name}; /help lists the commands, // begins a message with a slash")
        return False
    if argument.strip() and not command.argument:
        context.output.line(f"{name} takes no argument; /help lists the commands")
        return False
    return command.run(context, argument.strip())


def attach(context: ChatContext, attachments: Iterable[Attachment]) -> None:
    """Let images and videos go with the next message. What is wrong with one is said in a line."""
    for one in attachments:
        try:
            context.output.line(f"{context.look_at(one)}; goes with your next message", dim=True)
        except UserError as error:
            context.output.line(f"error: {error}")
        else:
            context.conversation.attached.append(one)


def _media(kind: MediaKind) -> Callable[[ChatContext, str], bool]:
    def run(context: ChatContext, argument: str) -> bool:
        attached = context.conversation.attached
        if argument == "-":
            attached[:] = [one for one in attached if one.kind != kind]
            context.output.line(f"no {kind} goes with your next message")
        elif not argument:
            names = ", ".join(one.path.name for one in attached if one.kind == kind)
            context.output.line(f"with your next message: {names or f'no {kind}'}; /{kind} PATH adds one")
        else:
            try:
                attach(context, [attachment(kind, argument)])
            except UserError as error:
                context.output.line(f"error: {error}")
        return False

    return run


def _help(context: ChatContext, _: str) -> bool:
    width = max(len(f"{command.name} {command.argument}") for command in COMMANDS)
    for command in COMMANDS:
        context.output.line(f"  {command.name + ' ' + command.argument:<{width}}  {command.summary}")
    context.output.line('  End a line with \\ to go on in the next, or put several lines between """ and """.')
    context.output.line("  Drag an image or a video into the terminal to show it. Ctrl+C stops a reply, Ctrl+D leaves.")
    return False


def _mode(thinking: bool) -> Callable[[ChatContext, str], bool]:
    def run(context: ChatContext, _: str) -> bool:
        context.conversation.thinking = thinking
        context.output.line(
            "thinking mode from the next reply on" if thinking else "instant mode from the next reply on"
        )
        return False

    return run


def _system(context: ChatContext, argument: str) -> bool:
    conversation = context.conversation
    if argument:
        conversation.system = "" if argument == "-" else argument
        context.output.line("system message set" if conversation.system else "system message removed")
    else:
        context.output.line(conversation.system or "no system message; /system TEXT sets one, /system - removes it")
    return False


def _save(replace: bool) -> Callable[[ChatContext, str], bool]:
    def run(context: ChatContext, argument: str) -> bool:
        if not argument:
            context.output.line("name a file: /save FILE")
            return False
        path = Path(argument).expanduser()
        text = json.dumps(context.conversation.transcript(context.model_name), ensure_ascii=False, indent=2) + "\n"
        try:
            # backslashreplace: bytes the terminal could not decode become \\udcXX, which JSON reads back as they were.
            with path.open("w" if replace else "x", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except FileExistsError:
            context.output.line(f"{path} exists; /save! {argument} replaces it")
        except OSError as error:
            context.output.line(f"{path}: {error.strerror or error}")
        else:
            context.output.line(f"saved to {path}")
        return False

    return run


def _stats(context: ChatContext, _: str) -> bool:
    replies = context.conversation.replies
    if not replies:
        context.output.line("no reply yet")
        return False
    context.output.line(f"last reply:   {reply_line(replies[-1])}")
    context.output.line(f"conversation: {conversation_line(replies, context.context_length)}")
    return False


def _clear(context: ChatContext, _: str) -> bool:
    context.conversation.clear()
    context.output.line("conversation cleared")
    return False


def _exit(_context: ChatContext, _: str) -> bool:
    return True


COMMANDS = (
    ChatCommand("/think", "", "Think before answering.", _mode(thinking=True)),
    ChatCommand("/instant", "", "Answer without thinking.", _mode(thinking=False)),
    ChatCommand("/system", "[TEXT]", "Set the system message, - to remove it; without TEXT, show it.", _system),
    ChatCommand("/image", "[PATH]", "Show an image with your next message, - to take it back.", _media("image")),
    ChatCommand("/video", "[PATH]", "The same with a video, or all of a GIF.", _media("video")),
    ChatCommand("/save", "FILE", "Save the conversation as JSON.", _save(replace=False)),
    ChatCommand("/save!", "FILE", "The same, replacing FILE.", _save(replace=True)),
    ChatCommand("/stats", "", "Tokens and speed of the last reply, and of the conversation.", _stats),
    ChatCommand("/clear", "", "Forget the conversation; mode and system message stay.", _clear),
    ChatCommand("/help", "", "This list.", _help),
    ChatCommand("/exit", "", "Leave.", _exit),
)
