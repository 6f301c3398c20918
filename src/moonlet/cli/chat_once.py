"""One question, one answer: for scripts, pipes and quick looks."""

from __future__ import annotations

import json

from moonlet.cli.conversation import Conversation, reply_facts
from moonlet.cli.interrupts import end_on_hangup
from moonlet.cli.progress import ProgressLine
from moonlet.cli.reply_printer import ReplyPrinter
from moonlet.cli.sampling_options import SamplingChoice
from moonlet.cli.terminal import Output
from moonlet.engine import Engine, Reply, ReplyStream
from moonlet.media.options import MediaOptions


def answer_once(
    engine: Engine,
    conversation: Conversation,
    prompt: str,
    sampling: SamplingChoice,
    *,
    output: Output,
    notes: Output,
    model_name: str,
    media: MediaOptions,
    as_json: bool,
) -> None:
    """Answer `prompt`: the answer, or one JSON object, on `output`; thinking and notes on `notes`.

    On a terminal the thinking is shown where the answer is. Raises OSError when the reader goes away.
    """
    for attachment in conversation.attached:
        notes.line(engine.read_media(attachment.part, media).summary, dim=True)
    progress = ProgressLine(notes, "reading", lambda tokens: f"{tokens:,}")
    with end_on_hangup():
        stream = engine.stream_chat(
            conversation.ask(prompt),
            thinking=conversation.thinking,
            sampling=sampling.over(engine.default_sampling(conversation.thinking)),
            media=media,
            on_prefill=progress,
        )
        with stream, progress:
            if as_json:
                reply = _quietly(stream)
                output.write_raw(_json_line(_facts(reply, model_name)))
            else:
                reply = _aloud(stream, output, notes, progress)
    if reply.finish_reason == "length":
        notes.line("moonlet: the reply is cut: --max-tokens or the context is used up", dim=True)


def _quietly(stream: ReplyStream) -> Reply:
    for _ in stream:
        pass
    return stream.reply


def _aloud(stream: ReplyStream, output: Output, notes: Output, progress: ProgressLine) -> Reply:
    printer = ReplyPrinter(answer=output, thinking=output if output.is_terminal else notes)
    try:
        for event in stream:
            progress.clear()
            printer.show(event)
    except KeyboardInterrupt:
        printer.end()
        raise
    printer.end()
    return stream.reply


def _json_line(value: object) -> str:
    """JSON without raw controls: json escapes C0 by itself; DEL and C1, which some terminals obey, are escaped here."""
    escapes = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
    return json.dumps(value, ensure_ascii=False).translate(escapes) + "\n"


def _facts(reply: Reply, model_name: str) -> dict[str, object]:
    return {
        "model": model_name,
        "content": reply.content,
        "reasoning": reply.reasoning,
        "tool_calls": [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in reply.tool_calls],
        **reply_facts(reply),
    }
