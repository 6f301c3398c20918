"""From problems to token ids: the published chat format, and which tokens are to be learnt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np
from numpy.typing import NDArray

from moonlet.chat.tools_ts import declare_tools_ts
from moonlet.train.pictures import CHUNK_FRAMES, Picture, num_tokens
from moonlet.train.tasks.base import Problem, Split, Task, draw
from moonlet.train.tasks.identity import other_system
from moonlet.train.tasks.tool_call import idle_tools
from moonlet.train.tasks.tooling import Call
from moonlet.train.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Exchange:
    """One user message and the assistant's reply to it, with the calls before that."""

    user: str
    reply: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """Earlier exchanges, then the problem at hand in one of the two modes."""

    problem: Problem
    thinks: bool
    history: tuple[Exchange, ...] = ()

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All that was said before the problem's own question."""
        lead = self.problem.lead
        return self.history + tuple(Exchange(t.user, t.answer if self.thinks else t.instant, t.calls) for t in lead)

    @property
    def system(self) -> str | None:
        return self.problem.system


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames [t, H, W, 3] of one image or chunk of a video, whose features stand at `at` and after it."""

    at: int
    frames: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of a whole conversation. learns[i] is true where ids[i] is a token the model should produce."""

    ids: tuple[int, ...]
    learns: tuple[bool, ...]
    chunks: tuple[Chunk, ...] = ()


def render_prompt(vocabulary: Vocabulary, conversation: Conversation) -> Example:
    """The ids up to and including the generation prompt of the last reply, as the published template renders them."""
    ids, learns, chunks = _rendered(vocabulary, conversation)
    return Example(tuple(ids), tuple(learns), tuple(chunks))


def render(vocabulary: Vocabulary, conversation: Conversation) -> Example:
    """The whole conversation with its reply.

    Earlier replies are learnt too in instant mode; in thinking mode they stand without their reasoning, and
    learning them would teach answers without the work.
    """
    ids, learns, chunks = _rendered(vocabulary, conversation)
    problem = conversation.problem
    if conversation.thinks:
        reply = [
            *vocabulary.encode(problem.thinking),
            vocabulary.special("</think>"),
            *vocabulary.encode(problem.answer),
        ]
    else:
        reply = vocabulary.encode(problem.instant)
    reply.append(vocabulary.special("<|im_end|>"))
    return Example(tuple(ids + reply), tuple(learns + [True] * len(reply)), tuple(chunks))


def timestamp(seconds: float) -> str:
    """HH:MM:SS.fff, as it stands before each chunk of a video."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _media(vocabulary: Vocabulary, media: tuple[Picture, ...], start: int) -> tuple[list[int], list[Chunk]]:
    """The ids of images and videos from position `start` on, without the line end after the last of them."""
    special, encode = vocabulary.special, vocabulary.encode
    ids: list[int] = []
    chunks = []
    for number, picture in enumerate(media):
        if number:
            ids += encode("\n")
        frames, rate = picture.draw(), picture.frames_per_second
        for first in range(0, len(frames), CHUNK_FRAMES):
            chunk = frames[first : first + CHUNK_FRAMES]
            if rate is not None:
                ids += encode(timestamp(first / rate))
            kind = encode("image" if rate is None else "video")
            ids += [special("<|media_begin|>"), *kind, special("<|media_content|>")]
            chunks.append(Chunk(start + len(ids), chunk))
            ids += [special("<|media_pad|>")] * num_tokens(chunk) + [special("<|media_end|>")]
    return ids, chunks


def called(vocabulary: Vocabulary, call: Call, index: int) -> list[int]:
    """A reply's section with one call, number `index` of the conversation, and the end of the reply."""
    special, encode = vocabulary.special, vocabulary.encode
    return [
        *(special("<|tool_calls_section_begin|>"), special("<|tool_call_begin|>")),
        *encode(call_id(call, index)),
        special("<|tool_call_argument_begin|>"),
        *encode(call.arguments),
        *(special("<|tool_call_end|>"), special("<|tool_calls_section_end|>"), special("<|im_end|>")),
    ]


def returned(vocabulary: Vocabulary, call: Call, index: int) -> list[int]:
    """The message with a call's result."""
    opened = [vocabulary.special("<|im_system|>"), *vocabulary.encode("tool"), vocabulary.special("<|im_middle|>")]
    text = f"## Return of {call_id(call, index)}\n{call.result}"
    return [*opened, *vocabulary.encode(text), vocabulary.special("<|im_end|>")]


def call_id(call: Call, index: int) -> str:
    """As the model writes it; `index` counts over the whole conversation."""
    return f"functions.{call.name}:{index}"


def _rendered(vocabulary: Vocabulary, conversation: Conversation) -> tuple[list[int], list[bool], list[Chunk]]:
    special, encode = vocabulary.special, vocabulary.encode
    ids: list[int] = []
    learns: list[bool] = []

    def add(new: list[int], learn: bool = False) -> None:
        ids.extend(new)
        learns.extend([learn] * len(new))

    end, middle = special("<|im_end|>"), special("<|im_middle|>")
    user_open = [special("<|im_user|>"), *encode("user"), middle]
    assistant_open = [special("<|im_assistant|>"), *encode("assistant"), middle, special("<think>")]
    problem, thinks, num_calls = conversation.problem, conversation.thinks, 0
    if problem.tools:
        declared = declare_tools_ts([tool.declared() for tool in problem.tools])
        add([special("<|im_system|>"), *encode("tool_declare"), middle, *encode(declared), end])
    if conversation.system is not None:
        add([special("<|im_system|>"), *encode("system"), middle, *encode(conversation.system), end])
    for exchange in conversation.exchanges:
        add([*user_open, *encode(exchange.user), end])
        for call in exchange.calls:  # finished turns stand without their reasoning
            add([*assistant_open, special("</think>")])
            add(called(vocabulary, call, num_calls), learn=not thinks)
            add(returned(vocabulary, call, num_calls))
            num_calls += 1
        add([*assistant_open, special("</think>")])
        add([*encode(exchange.reply), end], learn=not thinks)
    add(user_open)
    shown, chunks = _media(vocabulary, problem.media, len(ids))
    add([*shown, *encode("\n" + problem.user if problem.media else problem.user), end, *assistant_open])
    for call in problem.calls:
        work = encode(call.work)
        add([*work, special("</think>")] if thinks else [special("</think>"), *work], learn=True)
        add(called(vocabulary, call, num_calls), learn=True)
        add([*returned(vocabulary, call, num_calls), *assistant_open])
        num_calls += 1
    if not thinks:
        add([special("</think>")])
    return ids, learns, chunks


def draw_conversation(
    rng: Random, tasks: tuple[Task, ...], weights: tuple[float, ...], split: Split, level: float, history_share: float
) -> Conversation:
    """A conversation ending in one problem; `history_share` of them follow one or two earlier exchanges."""
    task = rng.choices(tasks, weights)[0]
    thinks = rng.random() < 0.5
    problem = draw(task, rng, split, level)
    history: list[Exchange] = []
    while rng.random() < history_share and len(history) < 3:
        earlier = draw(rng.choices(tasks, weights)[0], rng, split, level)
        if earlier.system is None and not (earlier.lead or earlier.media or earlier.tools):
            history.append(Exchange(earlier.user, earlier.answer if thinks else earlier.instant))
    if problem.system is None and task.name != "identity" and rng.random() < 0.1:
        problem = replace(problem, system=other_system(rng))
    if not problem.tools and not problem.media and rng.random() < 0.05:
        problem = replace(problem, tools=idle_tools(rng))
    return Conversation(problem, thinks, tuple(history))
