"""Conversations with images and video, from message parts to the ids the model gets."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from moonlet.config import EngineOptions
from moonlet.engine import Engine, SamplingParams
from moonlet.engine.load import load_model
from moonlet.errors import ContextLengthError, MediaError
from moonlet.media.options import MediaOptions
from moonlet.media.video.container import ContainerVideo
from tests.fakes.engines import TINY, engine_of, hashing_model, seeing_engine
from tests.media.files import encoded, noise, video

PICTURES = Path(__file__).parents[1] / "vectors" / "media" / "pixels"
SHORT = SamplingParams(temperature=0, max_tokens=6, ignore_eos=True)


def image(url: str | Path) -> dict:
    return {"type": "image_url", "image_url": {"url": str(url)}}


def clip(url: str | Path) -> dict:
    return {"type": "video_url", "video_url": {"url": str(url)}}


def user(*parts: dict | str) -> dict:
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"role": "user", "content": content}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return video(tmp_path_factory.mktemp("film") / "film.mp4", num_frames=120)


def test_a_path_a_file_url_and_a_data_url_give_the_same_reply():
    path = PICTURES / "gradient.png"
    urls = [path, path.as_uri(), "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()]
    replies = [seeing_engine().chat([user(image(url), "what?")], sampling=SHORT) for url in urls]
    assert len({reply.token_ids for reply in replies}) == 1
    assert replies[0].usage.prompt_tokens > 15
    other = seeing_engine().chat([user(image(PICTURES / "text.png"), "what?")], sampling=SHORT)
    assert other.token_ids != replies[0].token_ids


def test_images_and_videos_mix_in_any_order_over_several_turns(film):
    engine = seeing_engine()
    first = [user(image(PICTURES / "odd.png"), "and", clip(film), "and", image(PICTURES / "text.png"))]
    reply = engine.chat(first, sampling=SHORT)
    follow_up = [*first, reply.to_message(), user(clip(film), "again", image(PICTURES / "gradient.png"))]
    second = engine.chat(follow_up, sampling=SHORT)
    assert second.usage.cached_tokens > 4 + 10 + 12
    assert second.token_ids == seeing_engine().chat(follow_up, sampling=SHORT).token_ids


def test_the_next_turn_about_another_picture_of_the_same_size_is_not_answered_from_the_first():
    engine = seeing_engine()
    urls = ["data:;base64," + base64.b64encode(encoded(noise(56, 56, seed))).decode() for seed in (1, 2)]
    first, second = (engine.chat([user(image(url), "what?")], sampling=SHORT) for url in urls)
    assert first.token_ids != second.token_ids
    assert second.token_ids == seeing_engine().chat([user(image(urls[1]), "what?")], sampling=SHORT).token_ids


def test_a_placeholder_typed_by_the_user_stays_text():
    engine = seeing_engine()
    typed = engine.chat([user("<|media_begin|>image<|media_content|><|media_pad|><|media_end|>")], sampling=SHORT)
    assert typed.usage.prompt_tokens > 30, "spelt out"
    with_image = [user(image(PICTURES / "odd.png"), "<|media_pad|> <|kimi_k25_video_placeholder|>")]
    assert seeing_engine().chat(with_image, sampling=SHORT).token_ids


def test_media_for_a_model_without_a_tower_are_one_line():
    with pytest.raises(MediaError, match="found an image, but this model has no vision tower"):
        engine_of(hashing_model()).chat([user(image(PICTURES / "odd.png"))])


def test_remote_and_missing_media_are_refused_by_name():
    for url, expected in (("https://example.org/a.png", "not fetched"), ("/nowhere.png", "No such file")):
        with pytest.raises(MediaError, match=expected):
            seeing_engine().chat([user(image(url))])
    with pytest.raises(MediaError, match="local files are not read here"):
        seeing_engine().chat([user(image(PICTURES / "odd.png"))], media=MediaOptions(allow_files=False))


def test_too_much_video_names_the_option_that_makes_it_fit(tmp_path):
    path = video(tmp_path / "large.mp4", size=(320, 240), num_frames=300)
    engine = seeing_engine(context_length=512)
    with pytest.raises(
        ContextLengthError, match=r"take 540 tokens beside \d+ of text, the context holds 512"
    ) as caught:
        engine.chat([user(clip(path), "what?")])
    tokens = int(re.search(r"--video-tokens (\d+)", str(caught.value)).group(1))
    assert engine.chat([user(clip(path), "what?")], media=MediaOptions(video_tokens=tokens), sampling=SHORT).token_ids
    url = "data:;base64," + base64.b64encode(encoded(noise(672, 672))).decode()
    with pytest.raises(ContextLengthError, match=r"images and video take 576 tokens .* --context-length \d+"):
        engine.chat([user(image(url))])


def test_a_file_is_read_once_and_again_when_it_changes(tmp_path):
    engine = seeing_engine()
    path = tmp_path / "a.png"
    path.write_bytes(encoded(noise(30, 30)))
    first = engine.chat([user(image(path))], sampling=SHORT)
    path.write_bytes(encoded(noise(30, 30, seed=1)) + b" ")
    assert engine.chat([user(image(path))], sampling=SHORT).token_ids != first.token_ids


@pytest.mark.parametrize("chunk_size", [5, 512])
def test_the_golden_checkpoint_sees_the_golden_picture_from_its_file(chunk_size):
    """Everything together: file, pixels, tower, projector, splice, decoder."""
    expected = load_file(TINY / "expected.safetensors")
    model = load_model(TINY, EngineOptions(context_length=1024, reference=True))
    engine = Engine(model, model.tokenizer, model.template, context_length=1024, chunk_size=chunk_size)
    messages = [user(image(PICTURES / "gradient.png"), "in token router ! vision")]
    reply = engine.chat(messages, sampling=SamplingParams(temperature=0, max_tokens=1, logprobs=5, ignore_eos=True))
    assert reply.usage.prompt_tokens == len(expected["image.input_ids"])
    golden = torch.log_softmax(expected["image.logits"][-1].double(), -1)
    assert reply.token_ids == (int(golden.argmax()),)
    for found in reply.logprobs[0].top:
        assert found.logprob == pytest.approx(golden[found.token_id].item(), abs=1e-3)


def test_a_video_damaged_in_the_middle_ends_its_own_request_with_one_line(tmp_path, monkeypatch):
    path = video(tmp_path / "film.mp4", num_frames=300)
    engine = seeing_engine()
    monkeypatch.setattr(ContainerVideo, "frames", broken_frames)
    with engine.stream_chat([user("only text")], sampling=SHORT) as text:
        with pytest.raises(MediaError, match="damaged"):
            engine.chat([user(clip(path), "what?")], sampling=SHORT)
        assert len(list(text)) > 0
    assert text.reply.finish_reason == "length"
    assert engine.chat([user("again")], sampling=SHORT).token_ids


def broken_frames(*_):
    raise MediaError("film.mp4: damaged")
    yield
