"""Images and video at the terminal: options, commands, dragged files, inspect-media."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from moonlet.cli import load_model
from moonlet.cli.attachments import dragged_in
from moonlet.cli.chat_session import ChatSession
from moonlet.cli.conversation import Conversation
from moonlet.cli.main import run
from moonlet.cli.sampling_options import SamplingChoice
from moonlet.cli.terminal import Output
from moonlet.media.options import MediaOptions
from tests.fakes.engines import engine_of, reciting_model
from tests.fakes.vision import FakeEncoder
from tests.media.files import video

PICTURES = Path(__file__).parents[1] / "vectors" / "media" / "pixels"


def seeing_engine() -> Any:
    model = reciting_model("Thoughts.</think>Answer.")
    model.vision = FakeEncoder()
    return engine_of(model)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return Path(shutil.copy(PICTURES / "odd.png", tmp_path / "my photo.png"))


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_model, "LLM", lambda *_, **__: seeing_engine())


def session(*lines: str) -> tuple[str, Conversation]:
    screen = io.StringIO()
    typed = iter(lines)

    def read_line(_: str) -> str:
        line = next(typed, None)
        if line is None:
            raise EOFError
        return line

    conversation = Conversation()
    choice = SamplingChoice({"temperature": 0})
    ChatSession(seeing_engine(), conversation, choice, Output(screen), "fake", MediaOptions(), read_line).run()
    return screen.getvalue(), conversation


@pytest.mark.usefixtures("say")
def test_images_and_videos_are_shown_and_described(capsys, picture, tmp_path):
    film = video(tmp_path / "film.mp4", num_frames=120)
    arguments = ["--image", str(picture), "--image", str(PICTURES / "text.png"), "--video", str(film)]
    assert run(["chat", "-p", "what?", *arguments, "--video-frames", "2"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "Answer.\n"
    assert "my photo.png: 37 x 53, 4 tokens" in captured.err
    assert "text.png: 132 x 50, 10 tokens" in captured.err
    assert "2 frames taken" in captured.err


def test_a_missing_file_is_named_before_a_model_is_loaded(capsys, monkeypatch):
    monkeypatch.setattr(load_model, "LLM", None)
    assert run(["chat", "-p", "x", "--video", "/nowhere.mp4"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "/nowhere.mp4: cannot be read (No such file or directory)" in line


def test_a_model_without_a_tower_says_so(capsys, monkeypatch, picture):
    monkeypatch.setattr(load_model, "LLM", lambda *_, **__: engine_of(reciting_model("x")))
    assert run(["chat", "-p", "x", "--image", str(picture)]) == 2
    assert "has no vision tower" in capsys.readouterr().err


def test_an_image_goes_with_the_next_message_and_stays_in_the_conversation(picture):
    screen, conversation = session(f"/image {picture}", "/image", "what?", "and now?", "/image")
    assert "my photo.png: 37 x 53, 4 tokens; goes with your next message" in screen
    assert "with your next message: my photo.png" in screen
    assert "with your next message: no image" in screen
    questions = [message["content"] for message in conversation.messages[::2]]
    assert questions[0][0] == {"type": "image_url", "image_url": {"url": picture.as_uri()}}
    assert questions[0][1] == {"type": "text", "text": "what?"}
    assert questions[1] == "and now?"


def test_an_attachment_can_be_taken_back(picture):
    _, conversation = session(f"/image '{picture}'", "/image -", f"/image {picture}", "/clear", "what?")
    assert conversation.messages[0]["content"] == "what?"


def test_a_mistake_is_one_line_and_the_chat_goes_on(tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    screen, _ = session("/image /nowhere.png", f"/image {tmp_path}/bad.png", f"/video {PICTURES}/odd.png", "hi")
    assert "error: /nowhere.png: cannot be read" in screen
    assert "error: bad.png: unsupported image format" in screen
    assert "Answer." in screen


def test_a_dragged_file_is_attached_however_the_terminal_pastes_it(picture):
    escaped = str(picture).replace(" ", "\\ ")
    for line in (f"'{picture}'", f"{escaped} ", f'"{picture}"', picture.as_uri(), f"{escaped} {PICTURES}/text.png"):
        found = dragged_in(line)
        assert found, line
        assert found[0].path == picture
    screen, conversation = session(escaped, "what?")
    assert "goes with your next message" in screen
    assert conversation.messages[0]["content"][0]["type"] == "image_url"


@pytest.mark.parametrize("line", ["what is /nowhere.png", "/etc/hostname", "it's", "", "/help", "look at {} please"])
def test_a_line_that_is_more_or_less_than_a_media_file_is_a_message(line, picture):
    assert dragged_in(line.format(str(picture).replace(" ", "\\ "))) == ()


def test_inspect_media_tells_size_grid_tokens_chunks_and_times(capsys, tmp_path):
    assert run(["inspect-media", str(PICTURES / "gradient.png")]) == 0
    assert capsys.readouterr().out == "gradient.png: 126 x 76, 15 tokens\ngrid 1 x 6 x 10\n"
    assert run(["inspect-media", "--json", str(PICTURES / "strip.png")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["resized"], facts["grid_thw"], facts["num_tokens"]) == ([7168, 18], [1, 2, 512], 256)
    film = video(tmp_path / "film.mp4", num_frames=120)
    assert run(["inspect-media", str(film)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("8 frames taken at 64 x 48 in 2 chunks, 12 tokens")
    assert lines[2] == "00:00:02.266  grid 4 x 4 x 6, 6 tokens, frames 68, 85, 102, 119"
    assert run(["inspect-media", str(film), "--json", "--video-tokens", "6"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["num_tokens"] <= 6
    assert [chunk["timestamp"] for chunk in facts["chunks"]] == ["00:00:00.000"]
    assert facts["changed"].startswith("by request")


def test_inspect_media_refuses_in_one_line(capsys, tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    for path, expected in (("/nowhere.png", "No such file"), (f"{tmp_path}/a.mp4", "not a video that can be read")):
        assert run(["inspect-media", path]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line
