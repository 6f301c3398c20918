"""From messages to the ids of a prompt, through the checkpoint's own chat template.

The template is code from outside: it runs in a sandbox with limits (sandbox.py), and the text it is given cannot spell
a special token (guard.py). What it prints between special tokens is encoded as one text, as the official one is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError

from moonlet.chat.guard import Guard
from moonlet.chat.messages import ImagePart, Message, VideoPart
from moonlet.chat.replay import ReplayMemory
from moonlet.chat.sandbox import MAX_SOURCE_CHARS, RaisedByTemplateError, TemplateEnvironment, render_limited
from moonlet.chat.splitting import join_surrogates
from moonlet.chat.tokenizer import Tokenizer
from moonlet.chat.tokenizer_files import CONFIG_FILE, read_json_object
from moonlet.chat.tools import ToolDeclaration
from moonlet.chat.tools_ts import declare_tools_ts, sort_keys
from moonlet.errors import CheckpointError, PromptError, TemplateError

logger = logging.getLogger(__name__)

TEMPLATE_FILE = "chat_template.jinja"
OWN_TEMPLATE_FILE = "kimi_k25.jinja"
# What the template prints for a video. It is no special token: the frames' own text takes its place before encoding.
VIDEO_PLACEHOLDER = "<|kimi_k25_video_placeholder|>"
_OWN_VARIABLES = frozenset({"messages", "tools", "tools_ts_str", "thinking", "add_generation_prompt"})


@dataclass(frozen=True, slots=True)
class MediaSlot:
    """Where one image or video stands in a prompt: `positions` indexes its `<|media_pad|>` ids in RenderedPrompt.ids.

    An image has one, a video one for each chunk of frames, or none where no video text was given to `render`.
    """

    part: ImagePart | VideoPart
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt as text and as ids. `text` may spell special tokens that a user typed; `ids` tells them apart.

    `media` is in the order of the messages. `opens_thinking`: the prompt ends inside an open `<think>`, so the reply
    begins as reasoning.
    """

    text: str
    ids: tuple[int, ...]
    media: tuple[MediaSlot, ...]
    opens_thinking: bool


class ChatTemplate:
    """One chat template with the tokenizer it is encoded by. Immutable after construction, so threads may share it."""

    def __init__(self, source: str, tokenizer: Tokenizer, name: str = OWN_TEMPLATE_FILE) -> None:
        """`name` is the template's file, for errors. Raises TemplateError if `source` is too long or does not parse."""
        if len(source) > MAX_SOURCE_CHARS:
            raise TemplateError(f"{name}: {len(source)} characters, expected at most {MAX_SOURCE_CHARS}")
        self._name = name
        self._tokenizer = tokenizer
        try:
            self._template = TemplateEnvironment().from_string(source)
        except TemplateSyntaxError as error:
            raise TemplateError(f"{name}: line {error.lineno}: {error.message}") from None
        except (RecursionError, SyntaxError, ValueError, MemoryError):
            # Python's compiler refuses, for one, a template nested beyond its limits.
            raise TemplateError(f"{name}: cannot be compiled; it may be nested too deeply") from None

    @classmethod
    def from_dir(cls, model_dir: Path, tokenizer: Tokenizer | None = None) -> ChatTemplate:
        """A checkpoint's template: `chat_template.jinja`, else `chat_template` in `tokenizer_config.json`, else ours.

        `tokenizer`: the checkpoint's, if it is loaded already. Raises CheckpointError and TemplateError.
        """
        model_dir = Path(model_dir)
        tokenizer = tokenizer or Tokenizer.from_dir(model_dir)
        source, name = template_source(model_dir)
        logger.debug("chat template: %s", name)
        return cls(source, tokenizer, name)

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolDeclaration | Mapping[str, Any]] | None = None,
        thinking: bool = True,
        add_generation_prompt: bool = True,
        video_texts: Sequence[str] | None = None,
        replay: ReplayMemory | None = None,
        **extra: Any,
    ) -> RenderedPrompt:
        """Render a conversation.

        tools: declarations, or OpenAI-style objects as they came. thinking: False for instant mode.
        video_texts: for each video part in order, the trusted text that takes the place of its placeholder
        (`video_text`); without it the placeholders stay as text.
        replay: replies that are to be read back as they were emitted.
        extra: further variables for the template (`chat_template_kwargs`), treated as text from outside.
        Raises PromptError for what cannot be rendered, TemplateError naming the template's line for what it does wrong.
        """
        taken = sorted(_OWN_VARIABLES & extra.keys())
        if taken:
            raise PromptError(
                f"chat_template_kwargs: {taken[0]!r} is set by the request itself and cannot be given here"
            )
        media = [part for message in messages for part in message.media]
        pieces = self._pieces(
            messages, tools, {"thinking": thinking, "add_generation_prompt": add_generation_prompt}, extra
        )
        pieces = self._place_videos(pieces, sum(isinstance(part, VideoPart) for part in media), video_texts)
        names = {token_id: name for name, token_id in self._tokenizer.special_ids.items()}
        ids = self._tokenizer.encode_pieces(pieces) if replay is None else replay.encode(pieces)
        return RenderedPrompt(
            text="".join(piece if isinstance(piece, str) else names[piece] for piece in pieces),
            ids=tuple(ids),
            media=self._slots(media, ids, video_texts),
            opens_thinking=self._opens_thinking(ids),
        )

    def _pieces(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolDeclaration | Mapping[str, Any]] | None,
        switches: Mapping[str, bool],
        extra: Mapping[str, Any],
    ) -> list[str | int]:
        """The rendered prompt as plain stretches and special ids, video placeholders as stretches of their own."""
        declared = [sort_keys(t.declared if isinstance(t, ToolDeclaration) else t) for t in tools or ()]
        tools_ts = _tools_ts_or_none(declared)
        dicts = [message.to_template() for message in messages]
        guard = Guard([*self._tokenizer.special_ids, VIDEO_PLACEHOLDER], [dicts, declared, tools_ts, extra])
        variables = {
            "messages": guard.protect(dicts),
            "tools": guard.protect(declared) or None,
            "tools_ts_str": guard.protect(tools_ts),
            "bos_token": self._tokenizer.bos_token,
            "eos_token": self._tokenizer.eos_token,
            "pad_token": self._tokenizer.pad_token,
            "unk_token": self._tokenizer.unk_token,
            **switches,
            **guard.protect(extra),
        }
        rendered = self._run(variables, guard)
        pieces: list[str | int] = []
        for piece in self._tokenizer.split_specials(rendered):
            if isinstance(piece, int):
                pieces.append(piece)
                continue
            for index, stretch in enumerate(piece.split(VIDEO_PLACEHOLDER)):
                if index:
                    pieces.append(VIDEO_PLACEHOLDER)
                if stretch:
                    pieces.append(join_surrogates(guard.restore(stretch)))
        return pieces

    def _run(self, variables: Mapping[str, Any], guard: Guard) -> str:
        try:
            return render_limited(self._template, variables, guard.unescape)
        except RaisedByTemplateError as error:
            raise PromptError(f"the chat template refuses this conversation: {error}") from None
        except Exception as error:  # whatever code from outside may raise, the caller gets one kind of error
            problem = str(error) or type(error).__name__
            raise TemplateError(f"{self._name}: {_line_of(error)}{problem}") from None

    def _place_videos(
        self, pieces: list[str | int], num_videos: int, video_texts: Sequence[str] | None
    ) -> list[str | int]:
        """`pieces` with each video's text in the place of its placeholder."""
        if video_texts is None:
            return _join_stretches(pieces)
        found = sum(piece == VIDEO_PLACEHOLDER for piece in pieces)
        if not found == num_videos == len(video_texts):
            raise TemplateError(
                f"{self._name}: {found} video placeholders for {num_videos} videos with {len(video_texts)} texts"
            )
        texts = iter(video_texts)
        placed: list[str | int] = []
        for piece in pieces:
            placed.extend(self._tokenizer.split_specials(next(texts)) if piece == VIDEO_PLACEHOLDER else [piece])
        return _join_stretches(placed)

    def _slots(
        self, media: Sequence[ImagePart | VideoPart], ids: Sequence[int], video_texts: Sequence[str] | None
    ) -> tuple[MediaSlot, ...]:
        pad_id = self._tokenizer.media_pad_id
        if pad_id is None:
            if media:
                raise PromptError("messages hold images or videos, but this model's vocabulary has no place for them")
            return ()
        pads = [index for index, token_id in enumerate(ids) if token_id == pad_id]
        texts = iter(video_texts or [""] * len(media))
        slots: list[MediaSlot] = []
        start = 0
        for part in media:
            num_pads = 1
            if isinstance(part, VideoPart):
                num_pads = self._tokenizer.split_specials(next(texts)).count(pad_id)
            slots.append(MediaSlot(part, tuple(pads[start : start + num_pads])))
            start += num_pads
        if start != len(pads):
            raise TemplateError(f"{self._name}: {len(pads)} media placeholders, expected {start} for the media given")
        return tuple(slots)

    def _opens_thinking(self, ids: Sequence[int]) -> bool:
        for token_id in reversed(ids):
            if token_id in (self._tokenizer.think_id, self._tokenizer.end_think_id):
                return token_id == self._tokenizer.think_id
            if token_id == self._tokenizer.im_end_id:
                return False
        return False


def video_text(timestamps: Sequence[str]) -> str:
    """What the prompt says of a video: before the frames of each chunk, the time of the first of them."""
    return "".join(f"{time}<|media_begin|>video<|media_content|><|media_pad|><|media_end|>" for time in timestamps)


def built_in_source() -> str:
    """The template used where a checkpoint has none."""
    return resources.files("moonlet.chat").joinpath(OWN_TEMPLATE_FILE).read_text(encoding="utf-8")


def template_source(model_dir: Path) -> tuple[str, str]:
    """The Jinja source of a checkpoint's template, found as `ChatTemplate.from_dir` does, and what to call it."""
    path = model_dir / TEMPLATE_FILE
    if path.exists():
        try:
            return path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    path = model_dir / CONFIG_FILE
    template = read_json_object(path).get("chat_template") if path.exists() else None
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default", template)
    if template is None:
        return built_in_source(), OWN_TEMPLATE_FILE
    if not isinstance(template, str):
        raise CheckpointError(f"{path}: chat_template is a {type(template).__name__}, expected text")
    return template, f"{path}: chat_template"


def _tools_ts_or_none(tools: Sequence[Mapping[str, Any]]) -> str | None:
    """The TypeScript of `tools`, or None where there is none: the template then shows them as JSON."""
    try:
        return declare_tools_ts(tools) or None
    except PromptError as error:
        logger.warning("tools are declared as JSON, since one has no TypeScript form: %s", error)
        return None


def _join_stretches(pieces: Sequence[str | int]) -> list[str | int]:
    """Neighbouring plain stretches as one, since merging goes across their border."""
    joined: list[str | int] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(last := joined[-1], str):
            joined[-1] = last + piece
        else:
            joined.append(piece)
    return joined


def _line_of(error: BaseException) -> str:
    """ "line N: " of the template, from the traceback, whose frames jinja2 gives the template's own line numbers."""
    line = None
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<template>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f"line {line}: " if line else ""
