"""Conversations: rendered as the published template renders them, learnt where the assistant speaks."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from moonlet.chat.messages import parse_messages
from moonlet.chat.template import ChatTemplate, video_text
from moonlet.chat.tokenizer import Tokenizer
from moonlet.engine.media import place_media
from moonlet.engine.media_library import MediaLibrary
from moonlet.media.config import load_media_config
from moonlet.media.options import MediaOptions
from moonlet.media.video import PreparedVideo
from moonlet.train.answer import opening
from moonlet.train.conversation import Conversation, Exchange, call_id, draw_conversation, render, render_prompt
from moonlet.train.export import export_checkpoint
from moonlet.train.media_files import content_part
from moonlet.train.network import NanoModel
from moonlet.train.pictures.base import to_patches
from moonlet.train.shape import NanoShape
from moonlet.train.tasks import BLIND_TASKS, VISUAL_TASKS, Split, Task, draw
from moonlet.train.tasks.base import Problem
from moonlet.train.vocabulary import Vocabulary

PROBLEM = Problem("k", "what is 2+2?", "2+2=4. So 4.", "2 + 2 = 4.", "2+2=4, so 2 + 2 = 4.", "4", system="Be brief.")
HISTORY = (Exchange("hello", "Hello! What can I do for you?"),)


@pytest.mark.parametrize("thinks", [True, False])
def test_prompts_are_what_the_chat_template_makes_of_them(
    vocabulary: Vocabulary, shape: NanoShape, tmp_path: Path, thinks: bool
) -> None:
    export_checkpoint(NanoModel(shape).state_dict(), shape, vocabulary, tmp_path)
    template = ChatTemplate.from_dir(tmp_path, Tokenizer.from_dir(tmp_path))
    rng = Random(5)
    drawn = [draw_conversation(rng, BLIND_TASKS, (1.0,) * len(BLIND_TASKS), Split.TRAIN, 1.0, 0.5) for _ in range(60)]
    for conversation in [Conversation(PROBLEM, thinks, HISTORY), *drawn]:
        messages = [*opening(conversation), *tool_rounds(conversation)]
        tools = [tool.declared() for tool in conversation.problem.tools]
        rendered = template.render(parse_messages(messages), tools=tools, thinking=conversation.thinks)
        assert tuple(rendered.ids) == render_prompt(vocabulary, conversation).ids


def tool_rounds(conversation: Conversation) -> list[dict[str, Any]]:
    """The calls of the problem itself and their results, as the engine's replies would put them into a history."""
    first = sum(len(exchange.calls) for exchange in conversation.exchanges)
    messages: list[dict[str, Any]] = []
    for index, call in enumerate(conversation.problem.calls, start=first):
        function = {"name": call.name, "arguments": call.arguments}
        made = {"id": call_id(call, index), "type": "function", "function": function}
        thought, said = (call.work, "") if conversation.thinks else ("", call.work)
        messages.append({"role": "assistant", "content": said, "reasoning_content": thought, "tool_calls": [made]})
        messages.append({"role": "tool", "tool_call_id": made["id"], "content": call.result})
    return messages


@pytest.mark.parametrize("task", VISUAL_TASKS, ids=lambda task: task.name)
def test_training_sees_what_the_engine_makes_of_a_file(
    vocabulary: Vocabulary, seeing_shape: NanoShape, tmp_path: Path, task: Task
) -> None:
    export_checkpoint(NanoModel(seeing_shape).state_dict(), seeing_shape, vocabulary, tmp_path)
    template = ChatTemplate.from_dir(tmp_path, Tokenizer.from_dir(tmp_path))
    library = MediaLibrary(load_media_config(tmp_path))
    rng = Random(7)
    for thinks in (True, False):
        problem = draw(task, rng, Split.TRAIN)
        parts = [content_part(picture) for picture in problem.media]
        content = [*parts, {"type": "text", "text": problem.user}]
        messages = parse_messages([{"role": "user", "content": content}])
        seen = [library.read(part, MediaOptions()) for part in messages[0].media]
        texts = [video_text(one.timestamps) for one in seen if isinstance(one, PreparedVideo)]
        prompt = template.render(messages, thinking=thinks, video_texts=texts)
        ids, spans = place_media(prompt, seen)

        example = render_prompt(vocabulary, Conversation(problem, thinks))
        assert tuple(ids) == example.ids
        assert [span.start for span in spans] == [chunk.at for chunk in example.chunks]
        items = [item for one in seen for item in one.items()]
        for item, chunk in zip(items, example.chunks, strict=True):
            assert torch.equal(item.pixels.flatten(1), to_patches(chunk.frames))


def learnt_text(vocabulary: Vocabulary, conversation: Conversation) -> str:
    example = render(vocabulary, conversation)
    return vocabulary.decode([token for token, learn in zip(example.ids, example.learns, strict=True) if learn])


def test_thinking_learns_the_reasoning_and_the_reply_only(vocabulary: Vocabulary) -> None:
    text = learnt_text(vocabulary, Conversation(PROBLEM, thinks=True, history=HISTORY))
    assert text == "2+2=4. So 4.</think>2 + 2 = 4.<|im_end|>"


def test_instant_learns_earlier_replies_too(vocabulary: Vocabulary) -> None:
    text = learnt_text(vocabulary, Conversation(PROBLEM, thinks=False, history=HISTORY))
    assert text == "Hello! What can I do for you?<|im_end|>2+2=4, so 2 + 2 = 4.<|im_end|>"
