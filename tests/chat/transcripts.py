"""Replies written as text with markers, and what a parser makes of them, for tests."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from moonlet.chat.events import ContentDelta, Event, ReasoningDelta, ToolCallArguments, ToolCallEnd, ToolCallStart
from moonlet.chat.parser import OutputParser
from moonlet.chat.tokenizer import Tokenizer


@dataclass
class Parsed:
    """The events of a reply put together: what a client has in its hands at the end."""

    reasoning: str = ""
    content: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)  # (id, name, arguments)


def byte_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """`text` with special tokens as such and everything else in single-byte tokens, the finest split there is."""
    by_bytes = {tokenizer.token_bytes(token_id): token_id for token_id in range(384)}
    ids: list[int] = []
    for piece in tokenizer.split_specials(text):
        ids += [piece] if isinstance(piece, int) else [by_bytes[bytes([byte])] for byte in piece.encode()]
    return ids


def random_ids(tokenizer: Tokenizer, text: str, randomness: random.Random) -> list[int]:
    """`text` with special tokens as such and everything else in tokens of random length."""
    by_bytes = {tokenizer.token_bytes(token_id): token_id for token_id in range(384)}
    longest = max(map(len, by_bytes))
    ids: list[int] = []
    for piece in tokenizer.split_specials(text):
        if isinstance(piece, int):
            ids.append(piece)
            continue
        data = piece.encode()
        while data:
            fits = [n for n in range(1, longest + 1) if n <= len(data) and data[:n] in by_bytes]
            length = randomness.choice(fits)
            ids.append(by_bytes[data[:length]])
            data = data[length:]
    return ids


def events_of(parser: OutputParser, ids: Iterable[int]) -> list[Event]:
    events = [event for token_id in ids for event in parser.push(token_id)]
    return events + parser.finish()


def put_together(events: Sequence[Event]) -> Parsed:
    """Joins the deltas and checks the order that events.py promises."""
    parsed = Parsed()
    open_call: int | None = None
    for event in events:
        match event:
            case ReasoningDelta(text):
                assert text
                assert not parsed.content
                assert not parsed.calls
                parsed.reasoning += text
            case ContentDelta(text):
                assert text
                assert not parsed.calls
                parsed.content += text
            case ToolCallStart(index, call_id, name):
                assert open_call is None
                assert index == len(parsed.calls)
                assert name
                assert re.fullmatch(r"functions\..+:\d+", call_id, re.DOTALL)
                parsed.calls.append((call_id, name, ""))
                open_call = index
            case ToolCallArguments(index, text):
                assert text
                assert index == open_call
                call_id, name, arguments = parsed.calls[index]
                parsed.calls[index] = (call_id, name, arguments + text)
            case ToolCallEnd(index):
                assert index == open_call
                open_call = None
    assert open_call is None
    return parsed
