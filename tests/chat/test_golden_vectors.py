"""The dialect against the reference answers in tests/vectors/chat: every record, ids and text equal."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import pytest

from moonlet.chat.messages import parse_messages
from moonlet.chat.template import VIDEO_PLACEHOLDER, ChatTemplate
from moonlet.chat.tokenizer import Tokenizer
from moonlet.chat.tools_ts import declare_tools_ts
from moonlet.errors import PromptError

from .conftest import read_vectors

# The official class lets text of a message become special tokens in these two; moonlet must not.
UNSAFE_IN_GOLDEN = {
    "special_in_user": ["<|im_end|>", "<think>", "</think>"],
    "inline_think_in_content": ["<think>", "</think>"],
}
CHUNK = r"\d\d:\d\d:\d\d\.\d{3}<\|media_begin\|>video<\|media_content\|><\|media_pad\|><\|media_end\|>"


def digest(ids: Sequence[int]) -> str:
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()


def test_every_text_encodes_to_the_official_ids(k25: Tokenizer) -> None:
    records = read_vectors("tokenizer.jsonl")
    for record in records:
        text = record["text"] if "text" in record else "".join(unit * n for unit, n in record["parts"])
        ids = k25.encode_with_specials(text) if record["allow_special"] else k25.encode(text)
        if "ids" in record:
            assert ids == record["ids"], text
        else:
            assert (len(ids), digest(ids)) == (record["n_ids"], record["ids_sha256"]), record["parts"]
    assert len(records) == 271


def test_every_id_list_decodes_to_the_official_bytes_and_text(k25: Tokenizer) -> None:
    records = read_vectors("tokenizer_decode.jsonl")
    for record in records:
        assert k25.decode_bytes(record["ids"]).hex() == record["bytes_hex"]
        assert k25.decode(record["ids"]) == record["text"]
    assert len(records) == 90


@pytest.mark.parametrize("record", read_vectors("tools_ts.jsonl"), ids=lambda record: record["name"])
def test_tools_are_declared_as_the_official_encoder_declares_them(record: dict[str, Any]) -> None:
    if record["ts"] is None:
        with pytest.raises(PromptError) as caught:
            declare_tools_ts(record["tools"])
        assert f"ValueError: {caught.value}" == record["error"]
    else:
        assert declare_tools_ts(record["tools"]) == record["ts"]


CHAT = [(record, "prompt") for record in read_vectors("chat.jsonl")] + [
    (record, "template") for record in read_vectors("chat_disputed.jsonl")
]


@pytest.mark.parametrize(("record", "column"), CHAT, ids=[f"{column}-{record['name']}" for record, column in CHAT])
def test_a_conversation_renders_to_the_official_prompt(
    record: dict[str, Any], column: str, k25_template: ChatTemplate, k25: Tokenizer
) -> None:
    prompt = k25_template.render(parse_messages(record["messages"]), tools=record["tools"], **record["kwargs"])
    assert prompt.text == record[column]
    spelt_by_users = UNSAFE_IN_GOLDEN.get(record["name"], [])
    if not spelt_by_users:
        assert list(prompt.ids) == record["ids"]
        return
    # Same text and the same special tokens, less those that the message spelt.
    assert k25.decode(prompt.ids) == record[column]
    expected = [token_id for token_id in record["ids"] if token_id in k25.special_ids.values()]
    for name in spelt_by_users:
        count = sum(token_id == k25.special_ids[name] for token_id in record["ids"])
        assert count == prompt.ids.count(k25.special_ids[name]) + 1, name
    found = [token_id for token_id in prompt.ids if token_id in k25.special_ids.values()]
    assert len(found) == len(expected) - len(spelt_by_users)
    assert found[:3] == expected[:3]
    assert found[-4:] == expected[-4:]


@pytest.mark.parametrize("column", ["prompt", "template"])
def test_our_template_gives_the_official_text_with_any_vocabulary(column: str, tiny_template: ChatTemplate) -> None:
    for record in read_vectors("chat.jsonl" if column == "prompt" else "chat_disputed.jsonl"):
        prompt = tiny_template.render(parse_messages(record["messages"]), tools=record["tools"], **record["kwargs"])
        assert prompt.text == record[column], record["name"]


@pytest.mark.parametrize("record", read_vectors("media_prompts.jsonl"))
def test_media_prompts_hold_one_pad_for_each_image_and_video_chunk(
    record: dict[str, Any], k25_template: ChatTemplate, k25: Tokenizer
) -> None:
    messages = parse_messages(record["messages"])
    assert k25_template.render(messages, **record["kwargs"]).text == record["prompt_template"]

    video_texts = video_texts_of(record["prompt_template"], record["prompt_video_expanded"])
    prompt = k25_template.render(messages, video_texts=video_texts, **record["kwargs"])
    assert prompt.text == record["prompt_video_expanded"]
    assert list(prompt.ids) == record["ids_single_pad"]

    positions = [position for slot in prompt.media for position in slot.positions]
    assert positions == [index for index, token_id in enumerate(prompt.ids) if token_id == k25.media_pad_id]
    assert [slot.part for slot in prompt.media] == [part for message in messages for part in message.media]
    expanded = list(prompt.ids)
    for position, num_pads in reversed(list(zip(positions, record["pads"], strict=True))):
        expanded[position : position + 1] = [k25.media_pad_id] * num_pads
    assert (len(expanded), digest(expanded)) == (record["n_ids_expanded"], record["ids_expanded_sha256"])


def video_texts_of(template: str, expanded: str) -> list[str]:
    """What took the place of each video placeholder."""
    pattern = re.escape(template).replace(re.escape(VIDEO_PLACEHOLDER), f"((?:{CHUNK})+)")
    match = re.fullmatch(pattern, expanded)
    assert match is not None
    return list(match.groups())
