"""Replies made of random tokens under the rules of a turn: whatever the model would say, the form holds."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from moonlet.chat.events import ContentDelta, ToolCallArguments, ToolCallStart
from moonlet.chat.messages import Message
from moonlet.chat.replay import ReplayMemory
from moonlet.chat.template import ChatTemplate
from moonlet.chat.tools import parse_tools
from moonlet.engine.dialect import Dialect, PreparedTurn
from moonlet.engine.params import SamplingParams
from moonlet.engine.turn import JsonOutput, ToolChoice, Turn
from moonlet.errors import PromptError
from tests.fakes.engines import TINY, tiny_tokenizer

HI = (Message("user", "hi"),)
MAX_TOKENS = 3000
SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
    {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 40}}, "required": ["n"]},
    {"properties": {"e": {"enum": ["a", "b", 3, None]}, "c": {"const": "x"}}, "required": ["e", "c"]},
    {
        "type": "object",
        "properties": {"l": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3}},
        "required": ["l"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {
            "s": {"type": "string", "minLength": 2, "maxLength": 4},
            "p": {"type": "string", "pattern": "^[ab]+$"},
        },
        "required": ["s", "p"],
    },
    {
        "type": "object",
        "$defs": {
            "node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}
        },
        "properties": {"root": {"$ref": "#/$defs/node"}, "t": {"type": ["string", "null"]}},
        "required": ["root", "t"],
    },
    {"type": "object", "properties": {"self": {"$ref": "#"}}, "additionalProperties": {"type": "number"}},
]


def dialect() -> Dialect:
    tokenizer = tiny_tokenizer()
    return Dialect(tokenizer, ChatTemplate.from_dir(TINY, tokenizer), tokenizer.stop_ids, "typed")


def prepared_by(speaker: Dialect, turn: Turn) -> PreparedTurn:
    return speaker.prepare(turn, (), ReplayMemory(tiny_tokenizer(), max_tokens=1000))


def reply_to(turn: Turn, seed: int) -> tuple[list[int], list[Any]]:
    """Tokens drawn at random from what is allowed (ends of strings and objects preferred), and their events."""
    speaker, tokenizer, rng = dialect(), tiny_tokenizer(), random.Random(seed)
    prepared = prepared_by(speaker, turn)
    constraint, parser = speaker.constraint(prepared), speaker.parser(prepared)
    closing = {tokenizer.encode(text)[0] for text in ('"', "}", "]", ":", "1")} | set(tokenizer.special_ids.values())
    mask = np.zeros(-(-tokenizer.vocab_size // 32), dtype=np.uint32)
    ids: list[int] = []
    events: list[Any] = []
    while len(ids) < MAX_TOKENS and not constraint.is_finished:
        assert constraint.fill_mask(mask)
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little", count=tokenizer.vocab_size)
        allowed = np.flatnonzero(bits).tolist()
        preferred = [token_id for token_id in allowed if token_id in closing]
        token_id = rng.choice(preferred if preferred and rng.random() < 0.6 else allowed)
        constraint.accept(token_id)
        ids.append(token_id)
        events.extend(parser.push(token_id))
        if token_id in tokenizer.stop_ids:
            break
    assert len(ids) < MAX_TOKENS, "the reply did not come to its end"
    return ids, [*events, *parser.finish()]


def tools_of(*schemas: dict[str, Any]) -> tuple[Any, ...]:
    return parse_tools(
        [{"type": "function", "function": {"name": f"tool-{i}.x", "parameters": s}} for i, s in enumerate(schemas)]
    )


@pytest.mark.parametrize("schema", SCHEMAS, ids=range(len(SCHEMAS)))
@pytest.mark.parametrize("thinking", [True, False])
def test_a_required_call_is_always_valid(schema, thinking):
    for seed in range(3):
        turn = Turn(
            HI,
            SamplingParams(),
            tools_of(schema),
            thinking=thinking,
            tool_choice=ToolChoice("required"),
            thinking_budget=20,
        )
        _, events = reply_to(turn, seed)
        starts = [event for event in events if isinstance(event, ToolCallStart)]
        assert starts
        assert [event.id for event in starts] == [f"functions.tool-0.x:{i}" for i in range(len(starts))]
        for start in starts:
            text = "".join(e.text for e in events if isinstance(e, ToolCallArguments) and e.index == start.index)
            arguments = json.loads(text)
            assert isinstance(arguments, dict)
            Draft202012Validator(schema).validate(arguments)
            assert "\n" not in text
        assert not [event for event in events if isinstance(event, ContentDelta)]


def test_only_the_named_tool_is_called_and_once_if_calls_may_not_be_parallel():
    choice = ToolChoice("required", frozenset({"tool-1.x"}))
    for seed in range(5):
        turn = Turn(
            HI, SamplingParams(), tools_of({}, {}), thinking=False, tool_choice=choice, parallel_tool_calls=False
        )
        _, events = reply_to(turn, seed)
        assert [event.name for event in events if isinstance(event, ToolCallStart)] == ["tool-1.x"]


@pytest.mark.parametrize("schema", SCHEMAS[1:], ids=range(1, len(SCHEMAS)))
def test_an_answer_by_schema_is_always_valid(schema):
    for seed in range(3):
        turn = Turn(HI, SamplingParams(), json_output=JsonOutput({"type": "object", **schema}), thinking_budget=10)
        _, events = reply_to(turn, seed)
        text = "".join(event.text for event in events if isinstance(event, ContentDelta))
        Draft202012Validator(schema).validate(json.loads(text))


def test_without_tools_no_marker_is_ever_allowed():
    special = tiny_tokenizer().special_ids
    markers = {token_id for name, token_id in special.items() if "tool_call" in name}
    for choice in (
        Turn(HI, SamplingParams()),
        Turn(HI, SamplingParams(), tools_of({}), tool_choice=ToolChoice("none")),
    ):
        speaker = dialect()
        constraint = speaker.constraint(prepared_by(speaker, choice))
        mask = np.zeros(-(-tiny_tokenizer().vocab_size // 32), dtype=np.uint32)
        for token_id in (None, tiny_tokenizer().end_think_id):
            if token_id is not None:
                constraint.accept(token_id)
            constraint.fill_mask(mask)
            bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
            assert not any(bits[marker] for marker in markers)


def test_thinking_is_closed_when_its_budget_is_used_up():
    turn = Turn(HI, SamplingParams(), json_output=JsonOutput({"type": "object"}), thinking_budget=4)
    for seed in range(5):
        ids, _ = reply_to(turn, seed)
        assert ids.index(tiny_tokenizer().end_think_id) <= 4


def test_a_required_call_leaves_half_of_the_limit_to_itself():
    speaker = dialect()
    turn = Turn(HI, SamplingParams(max_tokens=100), tools_of({}), tool_choice=ToolChoice("required"))
    assert prepared_by(speaker, turn).rules.thinking_budget == 50


def test_a_hostile_schema_is_refused_before_it_costs_anything():
    deep: Any = {"type": "string"}
    for _ in range(100):
        deep = {"type": "object", "properties": {"a": deep}}
    wide = {"enum": ["x" * 100 + str(i) for i in range(3000)]}
    for schema, said in ((deep, "levels deep"), (wide, "characters")):
        with pytest.raises(PromptError, match=said):
            prepared_by(dialect(), Turn(HI, SamplingParams(), json_output=JsonOutput(schema)))
