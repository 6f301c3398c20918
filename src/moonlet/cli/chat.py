"""`moonlet chat`: talk to a model in the terminal."""

from __future__ import annotations

import sys

import click

from moonlet.cli.attachments import attachment
from moonlet.cli.options import engine_options, media_options
from moonlet.cli.sampling_options import SamplingChoice, sampling_options
from moonlet.cli.startup import without_collection
from moonlet.cli.terminal import standard_error, standard_output
from moonlet.config import EngineOptions
from moonlet.errors import OptionError, PromptError
from moonlet.media.options import MediaOptions

_EXAMPLES = (
    "Examples: moonlet chat   moonlet chat -p 'hi'   moonlet chat -p 'What is this?' --image a.png   "
    "git diff | moonlet chat --system 'Review this.' | less"
)


@click.command("chat", epilog=_EXAMPLES)
@click.option("--model", "-m", help="A checkpoint's directory or the hub id of a pulled one; K25-nano if not given.")
@click.option("--prompt", "-p", help="Answer this and leave; - reads it from standard input.")
@click.option("--system", default="", help="The system message.")
@click.option("--instant", is_flag=True, help="Answer without thinking.")
@click.option("--image", "images", multiple=True, metavar="PATH", help="Show an image; may be given more than once.")
@click.option("--video", "videos", multiple=True, metavar="PATH", help="Show a video, after the images.")
@click.option("--json", "as_json", is_flag=True, help="For one answer: print it as a JSON object.")
@sampling_options
@media_options
@engine_options
def command(
    model: str | None,
    prompt: str | None,
    system: str,
    instant: bool,
    images: tuple[str, ...],
    videos: tuple[str, ...],
    as_json: bool,
    sampling: SamplingChoice,
    media: MediaOptions,
    options: EngineOptions,
) -> None:
    """Talk to a model.

    Without --prompt, in a terminal: a conversation; /help lists its commands. With --prompt or with input from a pipe:
    one answer on standard output, its thinking on standard error.
    """
    # Files that are missing are named before a model is loaded.
    attached = [attachment("image", path) for path in images] + [attachment("video", path) for path in videos]
    question = _question(prompt, as_json)
    # Only now: the help of this command, and what is wrong with its options, must not wait for torch.
    with without_collection():
        from moonlet.cli.chat_once import answer_once
        from moonlet.cli.chat_session import ChatSession
        from moonlet.cli.conversation import Conversation
        from moonlet.cli.load_model import BUILT_IN, load

        output, notes = standard_output(), standard_error()
        engine = load(model, options, notes)
    conversation = Conversation(system=system, thinking=not instant)
    for one in attached:
        engine.read_media(one.part, media)
        conversation.attached.append(one)
    model_name = model or BUILT_IN
    if question is None:
        output.line(f"{'instant' if instant else 'thinking'} mode; /help lists the commands", dim=True)
        ChatSession(engine, conversation, sampling, output, model_name, media).run()
    else:
        answer_once(
            engine,
            conversation,
            question,
            sampling,
            output=output,
            notes=notes,
            model_name=model_name,
            media=media,
            as_json=as_json,
        )


def _question(prompt: str | None, as_json: bool) -> str | None:
    """What to answer, or None for a conversation. Raises OptionError or PromptError."""
    if prompt is None and sys.stdin.isatty():
        if as_json:
            raise OptionError("--json is for one answer: give --prompt TEXT or pipe a question in")
        if not sys.stdout.isatty():
            raise OptionError("standard output is not a terminal: give --prompt TEXT or pipe a question in")
        return None
    if prompt is not None and prompt != "-":
        if not prompt.strip():
            raise OptionError("--prompt is empty; give a question, or leave --prompt out for a conversation")
        return prompt
    text = sys.stdin.buffer.read().decode("utf-8", "replace").strip("\n")
    if not text.strip():
        raise PromptError("standard input is empty; pipe a question in, or give one with --prompt TEXT")
    return text
