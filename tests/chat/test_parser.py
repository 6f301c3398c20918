from __future__ import annotations

import random

import pytest

from moonlet.chat.events import ContentDelta, Event, ReasoningDelta, ToolCallArguments, ToolCallEnd, ToolCallStart
from moonlet.chat.parser import OutputParser
from moonlet.chat.tokenizer import Tokenizer

from .replies import ARGS, BEGIN, CALL, DONE, END, REPLIES, STOP, WRITTEN_BEGIN, WRITTEN_END, Reply, call
from .transcripts import Parsed, byte_ids, events_of, put_together, random_ids


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.name)
def test_a_reply_means_the_same_however_its_text_is_split(reply: Reply, tiny: Tokenizer) -> None:
    randomness = random.Random(reply.name)
    splits = [byte_ids(tiny, reply.text), tiny.encode_with_specials(reply.text)]
    splits += [random_ids(tiny, reply.text, randomness) for _ in range(10)]
    for ids in splits:
        assert put_together(events_of(OutputParser(tiny, thinking=reply.thinking), ids)) == reply.expected


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.name)
def test_a_reply_cut_at_any_byte_leaks_no_marker_and_contradicts_nothing(reply: Reply, tiny: Tokenizer) -> None:
    ids, expected = byte_ids(tiny, reply.text), reply.expected
    for length in range(max(0, len(ids) - 800), len(ids)):
        parser = OutputParser(tiny, thinking=reply.thinking)
        streamed = [event for token_id in ids[:length] for event in parser.push(token_id)]
        # What was streamed before the cut is a beginning of the whole reply.
        before = put_together(close_last_call(streamed))
        assert expected.reasoning.startswith(before.reasoning)
        assert expected.content.startswith(before.content)
        assert len(before.calls) <= len(expected.calls)
        for got, want in zip(before.calls, expected.calls, strict=False):
            assert got[:2] == want[:2]
            assert want[2].startswith(got[2])
        # What the end adds is held text, but no part of a marker unless the model was explaining it.
        whole = put_together(streamed + parser.finish())
        assert whole.reasoning.rstrip("\ufffd").startswith(before.reasoning)
        assert whole.content.rstrip("\ufffd").startswith(before.content)
        for text, wanted in ((whole.reasoning, expected.reasoning), (whole.content, expected.content)):
            if "tool_call" not in wanted:
                assert "<|tool_call_" not in text
        assert len(whole.calls) == len(before.calls)


def close_last_call(events: list[Event]) -> list[Event]:
    """`events` of an unfinished reply, with the end of a call that is still open."""
    started = [event.index for event in events if isinstance(event, ToolCallStart)]
    ended = [event.index for event in events if isinstance(event, ToolCallEnd)]
    return events if len(started) == len(ended) else [*events, ToolCallEnd(started[-1])]


def test_events_come_as_soon_as_they_can(tiny: Tokenizer) -> None:
    reply = f"ab</think>c{BEGIN}{CALL}functions.f:0{ARGS}{{}}{DONE}{END}{STOP}"
    parser = OutputParser(tiny, thinking=True)
    steps = [parser.push(token_id) for token_id in byte_ids(tiny, reply)]
    assert [events for events in steps if events] == [
        [ReasoningDelta("a")],
        [ReasoningDelta("b")],
        [ContentDelta("c")],
        [ToolCallStart(0, "functions.f:0", "f")],
        [ToolCallArguments(0, "{")],
        [ToolCallArguments(0, "}")],
        [ToolCallEnd(0)],
    ]
    assert parser.finish() == []


def test_ids_continue_the_conversation(tiny: Tokenizer) -> None:
    reply = BEGIN + call("f") + call("functions.g:0") + call("g") + call("functions.h:9") + call("h") + END
    parser = OutputParser(tiny, thinking=False, num_earlier_tool_calls=2, earlier_tool_call_ids=["functions.g:0"])
    parsed = put_together(events_of(parser, tiny.encode_with_specials(reply)))
    assert [call_id for call_id, _, _ in parsed.calls] == [
        "functions.f:2",
        "functions.g:3",
        "functions.g:4",
        "functions.h:9",
        "functions.h:10",
    ]


@pytest.mark.parametrize("marker", ["<think>", "</think>", BEGIN, CALL, STOP, "[EOS]"])
def test_a_marker_written_out_in_ordinary_tokens_is_text(marker: str, tiny: Tokenizer) -> None:
    text = f"the marker {marker} is text"
    for thinking, expected in ((True, Parsed(text)), (False, Parsed("", text))):
        assert put_together(events_of(OutputParser(tiny, thinking=thinking), tiny.encode(text))) == expected


def test_a_character_broken_off_by_a_marker_becomes_one_replacement_character(tiny: Tokenizer) -> None:
    ids = byte_ids(tiny, "é")[:1] + tiny.encode_with_specials("</think>") + byte_ids(tiny, "😀")[:3]
    assert put_together(events_of(OutputParser(tiny, thinking=True), ids)) == Parsed("\ufffd", "\ufffd")


def test_any_tokens_at_all_are_parsed_without_an_exception(tiny: Tokenizer) -> None:
    randomness = random.Random(5)
    markers = [tiny.special_ids[name] for name in ("<think>", "</think>", BEGIN, END, CALL, ARGS, DONE, "<|im_user|>")]
    words = [
        WRITTEN_BEGIN,
        WRITTEN_BEGIN[:9],
        "functions.",
        "f",
        ":0",
        ":",
        "{",
        "}",
        " ",
        "\n",
        "<",
        "é",
        "functions.f:1",
    ]
    for _ in range(3000):
        ids: list[int] = []
        for _ in range(randomness.randrange(25)):
            kind = randomness.random()
            if kind < 0.4:
                ids.append(randomness.choice(markers))
            elif kind < 0.9:
                ids += byte_ids(tiny, randomness.choice(words))
            else:
                ids.append(randomness.randrange(tiny.vocab_size))
        thinking = randomness.random() < 0.5
        parsed = put_together(events_of(OutputParser(tiny, thinking=thinking), ids))
        assert thinking or not parsed.reasoning
        call_ids = [call_id for call_id, _, _ in parsed.calls]
        assert len(set(call_ids)) == len(call_ids)


def test_random_splits_of_random_replies_give_the_same_whole(tiny: Tokenizer) -> None:
    randomness = random.Random(11)
    words = [BEGIN, END, CALL, ARGS, DONE, "</think>", "<think>", WRITTEN_BEGIN, WRITTEN_END, "f:0", "functions.g", " ",
             "{", '"a"', "}", "<|tool_call_", "<", "\n", "你好", "text with words", "x" * 330]  # fmt: skip
    for _ in range(400):
        reply = "".join(randomness.choices(words, k=randomness.randrange(1, 15)))
        thinking = randomness.random() < 0.5
        whole = put_together(events_of(OutputParser(tiny, thinking=thinking), byte_ids(tiny, reply)))
        for _ in range(3):
            ids = random_ids(tiny, reply, randomness)
            assert put_together(events_of(OutputParser(tiny, thinking=thinking), ids)) == whole, reply


def test_a_reply_in_the_published_vocabulary_is_understood(k25: Tokenizer) -> None:
    arguments = '{"city": "北京"}'
    reply = f"Let me look.</think>One moment.{BEGIN}{call('functions.get_weather:0', arguments)}{END}{STOP}"
    parsed = put_together(events_of(OutputParser(k25, thinking=True), k25.encode_with_specials(reply)))
    assert parsed == Parsed("Let me look.", "One moment.", [("functions.get_weather:0", "get_weather", arguments)])


def test_a_reply_costs_the_same_per_token_however_long_it_is(tiny: Tokenizer) -> None:
    """No state may grow: blanks after a written section begin, text in a section, an id without end."""
    for opening in ("", WRITTEN_BEGIN, BEGIN, BEGIN + CALL, BEGIN + CALL + "f" + ARGS):
        parser = OutputParser(tiny, thinking=False)
        for token_id in byte_ids(tiny, opening + " " * 5000 + "a" * 5000):
            parser.push(token_id)
        assert len(parser._held) < 1000, opening
