"""Images and video inside the engine: where features enter, what is computed again, and what must never be mixed up."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

from moonlet.chat.messages import ImagePart, Message, TextPart, VideoPart, parse_messages
from moonlet.chat.template import ChatTemplate, built_in_source, video_text
from moonlet.chat.tokenizer import Tokenizer
from moonlet.config import EngineOptions
from moonlet.engine.load import LoadedModel, load_model
from moonlet.engine.media import MediaSpan, place_media
from moonlet.media.config import MediaProcessorConfig
from moonlet.media.geometry import fit
from moonlet.media.options import MediaOptions
from moonlet.media.video.plan import plan_video
from moonlet.media.video.timeline import Timeline
from moonlet.model.vision import Grid
from tests.chat.conftest import read_vectors
from tests.fakes.engines import TINY, hashing_model, tiny_tokenizer
from tests.fakes.one_sequence import OneSequence
from tests.fakes.vision import FakeEncoder, FakeMedia, TableEncoder

PAD = 405
VIDEO = (Grid(4, 2, 4), Grid(4, 2, 4), Grid(3, 2, 4))


def prompt_with(*media: FakeMedia, before: int = 5, between: int = 3) -> tuple[list[int], tuple[MediaSpan, ...]]:
    ids, spans = list(range(before)), []
    for one in media:
        for index, piece in enumerate(one.pieces):
            spans.append(MediaSpan(len(ids), one, index))
            ids += [PAD] * piece.num_tokens
            ids += list(range(between))
    return ids, tuple(spans)


def run(runner: OneSequence, ids: list[int], media: tuple[MediaSpan, ...], num_tokens: int = 5) -> list[int]:
    sequence = runner.admit(ids, media)
    while len(sequence.token_ids) < len(ids) + num_tokens:
        logits = runner.step(sequence)
        if logits is not None:
            sequence.append(int(logits.argmax()))
    runner.finish(sequence)
    return sequence.token_ids[len(ids) :]


def seeing_runner(chunk_size: int = 1000) -> tuple[OneSequence, FakeEncoder]:
    model = hashing_model()
    model.vision = encoder = FakeEncoder()
    return OneSequence(model, context_length=1024, chunk_size=chunk_size), encoder


def test_the_reply_depends_on_the_picture_and_on_nothing_else():
    first = run(seeing_runner()[0], *prompt_with(FakeMedia(1)))
    assert run(seeing_runner()[0], *prompt_with(FakeMedia(1))) == first
    assert run(seeing_runner()[0], *prompt_with(FakeMedia(2))) != first


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 64])
def test_any_chunking_gives_the_same_reply_and_encodes_each_piece_once(chunk_size):
    ids, spans = prompt_with(FakeMedia(1), FakeMedia(2, VIDEO), FakeMedia(3))
    whole = run(seeing_runner()[0], ids, spans)
    runner, encoder = seeing_runner(chunk_size)
    assert run(runner, ids, spans) == whole
    assert encoder.num_encoded == 5


def test_another_picture_with_the_same_placeholders_is_not_taken_for_the_first():
    runner, _ = seeing_runner()
    run(runner, *prompt_with(FakeMedia(1)))
    ids, spans = prompt_with(FakeMedia(2))
    sequence = runner.admit(ids, spans)
    assert sequence.num_cached_tokens == 5, "only the text before the picture is shared"
    runner.abandon(sequence)
    run(runner, *prompt_with(FakeMedia(1)))
    assert run(runner, ids, spans) == run(seeing_runner()[0], ids, spans)


def test_the_same_picture_is_found_in_the_cache_and_not_encoded_again():
    runner, encoder = seeing_runner()
    ids, spans = prompt_with(FakeMedia(1), FakeMedia(2, VIDEO))
    reply = run(runner, ids, spans)
    again, spans_again = prompt_with(FakeMedia(1), FakeMedia(2, VIDEO))
    follow_up = again + reply + [1, 2, 3]
    sequence = runner.admit(follow_up, spans_again)
    assert sequence.num_cached_tokens == len(again) + len(reply) - 1
    runner.abandon(sequence)
    runner.forget()
    assert run(runner, ids, spans_again) == reply
    assert encoder.num_encoded == 4, "the pages were gone, the features were not"


def test_a_prefix_that_ends_inside_a_picture_goes_on_inside_it():
    ids, spans = prompt_with(FakeMedia(1, (Grid(1, 16, 16),)))
    runner, _ = seeing_runner(chunk_size=20)
    sequence = runner.admit(ids, spans)
    runner.step(sequence)
    runner.finish(sequence)
    sequence = runner.admit(ids, spans)
    assert sequence.num_cached_tokens == 20
    runner.finish(sequence)
    assert run(runner, ids, spans) == run(seeing_runner()[0], ids, spans)


def test_a_video_is_opened_once_and_only_as_far_as_it_is_read():
    video = FakeMedia(1, VIDEO)
    ids, spans = prompt_with(video)
    runner, _ = seeing_runner(chunk_size=1)
    runner.step(sequence := runner.admit(ids, spans))
    assert video.reads == []
    runner.finish(sequence)
    run(runner, ids, spans)
    assert video.reads == [0, 1, 2]
    # A kept prefix that holds two pieces: the third alone is decoded.
    runner, _ = seeing_runner(chunk_size=1)
    sequence = runner.admit(ids, spans)
    for _ in range(spans[2].start):
        runner.step(sequence)
    runner.finish(sequence)
    video.reads.clear()
    run(runner, ids, spans)
    assert video.reads == [2]


def test_an_interrupted_pass_reads_the_piece_again():
    runner, encoder = seeing_runner()
    ids, spans = prompt_with(FakeMedia(1, VIDEO))
    sequence = runner.admit(ids, spans)
    encode = encoder.encode

    def interrupted(_):
        raise KeyboardInterrupt

    encoder.encode = interrupted
    with pytest.raises(KeyboardInterrupt):
        runner.step(sequence)
    encoder.encode = encode
    logits = runner.step(sequence)
    assert logits is not None
    assert int(logits.argmax()) == run(seeing_runner()[0], ids, spans, 1)[0]


def test_placeholders_become_as_many_ids_as_the_pieces_have_tokens():
    template = loaded().template
    image, video = ImagePart("i"), VideoPart("v")
    messages = [Message("user", (TextPart("a"), video, TextPart("<|media_pad|>"), image)), Message("user", (image,))]
    chunk = "00:00:00.000<|media_begin|>video<|media_content|><|media_pad|><|media_end|>"
    prompt = template.render(messages, video_texts=[chunk * 3])
    media = [FakeMedia(1, VIDEO), FakeMedia(2), FakeMedia(3)]
    ids, spans = place_media(prompt, media)
    assert [(span.media, span.index) for span in spans] == [
        (media[0], 0), (media[0], 1), (media[0], 2), (media[1], 0), (media[2], 0),
    ]  # fmt: skip
    assert all(ids[position] == PAD for span in spans for position in range(span.start, span.stop))
    assert ids.count(PAD) == 2 + 2 + 2 + 6 + 6, "the one the user typed is text"
    assert [i for i in ids if i != PAD] == [i for i in prompt.ids if i != PAD]


def loaded(reference: bool = False) -> LoadedModel:
    return load_model(TINY, EngineOptions(context_length=1024, reference=reference))


def golden() -> dict[str, Tensor]:
    return load_file(Path(TINY) / "expected.safetensors")


@pytest.mark.parametrize("name", ["image", "video"])
def test_golden_features_give_the_golden_logits(name):
    expected = golden()
    ids = expected[f"{name}.input_ids"].tolist()
    features = expected[f"{name}.vision_features"]
    num_pads = ids.count(PAD)
    assert len(features) == num_pads
    t, h, w = expected[f"{name}.grid_thw"][0].tolist()
    span = MediaSpan(ids.index(PAD), FakeMedia(1, (Grid(t, h, w),)), 0)
    last = {}
    for reference in (True, False):
        model = replace(loaded(reference), vision=TableEncoder([features]))
        runner = OneSequence(model, context_length=1024, chunk_size=7)
        sequence = runner.admit(ids, (span,))
        while (logits := runner.step(sequence)) is None:
            pass
        last[reference] = logits
    difference = (last[True] - expected[f"{name}.logits"][-1]).abs().max().item()
    assert difference <= 1e-4, f"{difference:.2e}"
    assert int(last[False].argmax()) == int(expected[f"{name}.logits"][-1].argmax())
    assert tiny_tokenizer().media_pad_id == PAD


def stand_in(url: str) -> FakeMedia:
    """Media of the size that a golden url names: `size:WxH` or `video:FPS:FRAMES:WxH`."""
    kind, *rest = url.split(":")
    width, height = map(int, rest[-1].split("x"))
    config = MediaProcessorConfig()
    if kind == "size":
        return FakeMedia(1, (fit(width, height, config.in_patch_limit, config).grid(config),))
    timeline = Timeline(int(rest[1]), float(rest[0]))
    plan = plan_video(url, timeline, (width, height), config, MediaOptions())
    return FakeMedia(1, tuple(plan.grids), plan.timestamps)


@pytest.mark.parametrize("record", read_vectors("media_prompts.jsonl"))
def test_every_golden_media_prompt_expands_to_the_published_ids(record):
    """From sizes alone: grids, frames, timestamps, template and expansion together."""
    tokenizer = published_tokenizer()
    template = ChatTemplate(built_in_source(), tokenizer)
    messages = parse_messages(record["messages"])
    media = [stand_in(part.url) for message in messages for part in message.media]
    videos = [video_text(one.timestamps) for one in media if one.timestamps]
    prompt = template.render(messages, video_texts=videos, **record["kwargs"])
    assert prompt.text == record["prompt_video_expanded"]
    ids, spans = place_media(prompt, media)
    assert [span.piece.num_tokens for span in spans] == record["pads"]
    assert len(ids) == record["n_ids_expanded"]
    assert hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest() == record["ids_expanded_sha256"]


def published_tokenizer() -> Tokenizer:
    path = Path(os.environ.get("MOONLET_K25_DIR", Path(__file__).resolve().parents[3] / "shared" / "k25"))
    if not (path / "tiktoken.model").exists():
        pytest.skip(f"the published K2.5 vocabulary is not at {path} (set MOONLET_K25_DIR)")
    return Tokenizer.from_dir(path)
