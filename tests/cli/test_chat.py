"""The chat in one process: options, commands, what goes to which stream."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from moonlet.cli import load_model
from moonlet.cli.chat_session import ChatSession
from moonlet.cli.conversation import Conversation
from moonlet.cli.line_input import read_message
from moonlet.cli.main import run
from moonlet.cli.progress import ProgressLine
from moonlet.cli.sampling_options import SamplingChoice
from moonlet.cli.terminal import Output, without_controls
from moonlet.engine import SamplingParams
from moonlet.media.options import MediaOptions
from tests.fakes.engines import engine_of, reciting_model

ANSWER = "Thoughts.</think>Answer."


class Piped(io.TextIOWrapper):
    def __init__(self, text: str) -> None:
        super().__init__(io.BytesIO(text.encode()), encoding="utf-8")


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the next `moonlet chat` have a scripted model; returns the calls of its constructor."""

    def prepare(*replies: str, context_length: int = 1024) -> list[tuple[Any, ...]]:
        calls: list[tuple[Any, ...]] = []

        def fake(model: str | None, options: Any, **_: Any) -> Any:
            calls.append((model, options))
            return engine_of(reciting_model(*replies), context_length=context_length)

        monkeypatch.setattr(load_model, "LLM", fake)
        return calls

    return prepare


def session(lines: list[str], *replies: str, conversation: Conversation | None = None, **sampling: Any) -> str:
    """What an interactive chat shows for these lines."""
    screen = io.StringIO()
    typed = iter(lines)

    def read_line(prompt: str) -> str:
        screen.write(prompt)
        line = next(typed, None)
        if line is None:
            raise EOFError
        screen.write("\n")
        return line

    engine = engine_of(reciting_model(*replies))
    choice = SamplingChoice({"temperature": 0, **sampling})
    ChatSession(engine, conversation or Conversation(), choice, Output(screen), "fake", MediaOptions(), read_line).run()
    return screen.getvalue()


def test_the_answer_goes_to_stdout_and_the_thinking_to_stderr(say, capsys):
    calls = say(ANSWER)
    assert run(["chat", "--prompt", "question"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("Answer.\n", "Thoughts.\n")
    assert calls[0][0] is None


def test_piped_input_is_the_question(say, capsys, monkeypatch):
    say(ANSWER)
    monkeypatch.setattr(sys, "stdin", Piped("question\n"))
    assert run(["chat"]) == 0
    assert capsys.readouterr().out == "Answer.\n"
    monkeypatch.setattr(sys, "stdin", Piped("question\n"))
    assert run(["chat", "--prompt", "-"]) == 0
    assert capsys.readouterr().out == "Answer.\n"


def test_json_holds_the_whole_reply(say, capsys):
    say("Thoughts.</think>An\x9bswer\x1b.")
    assert run(["chat", "--prompt", "question", "--json", "--seed", "5"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in captured.out.rstrip("\n"))
    found = json.loads(captured.out)
    assert (found["content"], found["reasoning"]) == ("An\x9bswer\x1b.", "Thoughts.")
    assert (found["model"], found["seed"], found["finish_reason"]) == ("K25-nano", 5, "stop")
    assert found["usage"]["completion_tokens"] > found["usage"]["reasoning_tokens"] > 0
    assert found["timings"]["ttft_s"] > 0


def test_options_reach_the_engine_and_the_sampler(say, capsys):
    calls = say(ANSWER)
    arguments = ["--model", "some/dir", "--num-threads", "1", "--chunk-size", "7"]
    assert run(["chat", "-p", "question", "--instant", "--max-tokens", "3", *arguments]) == 0
    captured = capsys.readouterr()
    assert "Thoughts.".startswith(captured.out.rstrip("\n")), "instant mode: what comes first is the answer"
    assert "the reply is cut" in captured.err
    model, options = calls[0]
    assert (model, options.num_threads, options.chunk_size) == ("some/dir", 1, 7)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--prompt", "x", "--temperature", "3"], "temperature: found 3.0, expected a number from 0 to 2"),
        (["--prompt", "x", "--stop", ""], "stop: found an empty string"),
        (["--prompt", " "], "--prompt is empty"),
        (["--prompt", "word " * 3000], "the context holds 1024"),
        (["--prompt", "x", "--stop-token-id", "640"], "stop_token_ids: found 640"),
        (["--prompt", "x", "--top-q", "1"], "No such option"),
    ],
)
def test_a_mistake_of_the_user_is_one_line_and_exit_code_2(say, capsys, arguments, expected):
    say(ANSWER)
    assert run(["chat", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert captured.err.count("\n") == 1


def test_empty_piped_input_is_refused(say, capsys, monkeypatch):
    say(ANSWER)
    monkeypatch.setattr(sys, "stdin", Piped("\n"))
    assert run(["chat"]) == 2
    assert "standard input is empty" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_one_line(capsys):
    assert run(["chat", "--prompt", "x", "--model", "/nowhere/at/all"]) == 2
    error = capsys.readouterr().err
    assert "/nowhere/at/all: no such directory" in error
    assert error.count("\n") == 1


def test_a_conversation_remembers():
    screen = session(["one", "two", "/stats"], "A.</think>First.", "B.</think>Second.")
    assert "[thinking]\nA.\n[answer]\nFirst.\n> " in screen
    assert "Second." in screen
    assert "conversation: 2 replies" in screen
    assert "\x1b" not in screen


def test_modes_and_system_message_take_effect_from_the_next_reply():
    conversation = Conversation()
    screen = session(
        ["/instant", "one", "/system", "/system Be brief.", "/think", "two", "/system", "/system -", "/system"],
        "First.",
        "B.</think>Second.",
        conversation=conversation,
    )
    assert "instant mode from the next reply on\n> \nFirst." in screen
    assert "no system message" in screen
    assert "[thinking]\nB.\n[answer]\nSecond.\n" in screen
    assert "\nBe brief.\n" in screen
    assert "system message removed" in screen
    assert conversation.system == ""


def test_the_system_message_is_sent_first():
    conversation = Conversation(system="Be brief.")
    assert conversation.ask("hi") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]


def test_saving_refuses_to_replace_a_file_unless_told(tmp_path: Path):
    file = tmp_path / "talk.json"
    screen = session(
        ["one", f"/save {file}", f"/save {file}", "two", f"/save! {file}", "/save", f"/save {tmp_path}/no/dir.json"],
        "A.</think>First é.",
        "B.</think>Second.",
    )
    assert f"saved to {file}\n" in screen
    assert f"{file} exists; /save! {file} replaces it" in screen
    assert "name a file: /save FILE" in screen
    assert "No such file or directory" in screen
    saved = json.loads(file.read_text())
    assert saved["messages"][1] == {"role": "assistant", "content": "First é.", "reasoning_content": "A."}
    assert len(saved["messages"]) == 4
    assert len(saved["replies"]) == 2
    assert saved["model"] == "fake"


def test_clear_forgets_and_stats_need_a_reply():
    conversation = Conversation()
    screen = session(["/stats", "one", "/clear", "/stats"], ANSWER, conversation=conversation)
    assert screen.count("no reply yet") == 2
    assert conversation.messages == []


def test_unknown_commands_and_arguments_nobody_takes_are_one_line():
    screen = session(["/nope x", "/exit now", "/help", "/exit", "never read"], ANSWER)
    assert "unknown command /nope; /help lists the commands" in screen
    assert "/exit takes no argument" in screen
    for name in ("/think", "/instant", "/system", "/save", "/stats", "/clear", "/exit"):
        assert f"  {name}" in screen
    assert screen.endswith("> \n")


def test_a_message_may_begin_with_a_slash_if_doubled():
    conversation = Conversation()
    session(["//etc is a directory"], ANSWER, conversation=conversation)
    assert conversation.messages[0]["content"] == "/etc is a directory"


def test_a_message_that_does_not_fit_is_said_and_not_kept():
    conversation = Conversation()
    screen = session(["word " * 3000, "short"], ANSWER, conversation=conversation)
    assert "error: prompt: " in screen
    assert "the context holds 1024" in screen
    assert [message["content"] for message in conversation.messages] == ["short", "Answer."]


def test_a_reply_cut_by_max_tokens_says_so():
    assert "[the reply is cut" in session(["one"], ANSWER, max_tokens=2)


def test_a_stop_string_is_obeyed():
    assert session(["one"], "A.</think>First STOP second", stop=("STOP",)).count("First \n") == 1


def test_a_call_of_a_tool_that_nobody_declared_cannot_be_made():
    call = (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.find:0<|tool_call_argument_begin|>{}<|tool_call_end|>"
    )
    shown = session(["one"], f"A.</think>{call}<|tool_calls_section_end|>")
    assert "<|" not in shown


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["plain"], "plain"),
        (["one \\", "two\\", "three"], "one \ntwo\nthree"),
        (['"""', "a", "  b", '"""'], "a\n  b"),
        (['"""a', "", 'b"""'], "a\n\nb"),
        (['"""one"""'], "one"),
        (["say \\\\", "next"], "say \\\nnext"),
    ],
)
def test_messages_of_several_lines(typed, expected):
    lines = iter(typed)
    assert read_message("> ", ". ", lambda _: next(lines)) == expected


def test_control_characters_are_removed_and_text_is_not():
    assert without_controls("a\x1b[2Jb\r\n\tc\x00\x7f\x85\x9b é→😀\u2028") == "a[2Jb\n\tc é→😀\u2028"


def test_what_the_user_chose_goes_over_the_defaults():
    chosen = SamplingChoice({"top_k": 5}).over(SamplingParams(temperature=0.6))
    assert (chosen.temperature, chosen.top_k) == (0.6, 5)


def test_progress_is_for_terminals_only(say, capsys):
    say(ANSWER)
    assert run(["chat", "--prompt", "question"]) == 0
    assert "\r" not in capsys.readouterr().err


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm"}, "\x1b[2mquiet\x1b[0m"),
        ({"TERM": "dumb"}, "quiet"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "quiet"),
    ],
)
def test_styles_are_for_terminals_that_want_them(environment, expected, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for screen, shown in ((FakeTerminal(), expected), (io.StringIO(), "quiet")):
        Output(screen).write("quiet", dim=True)
        assert screen.getvalue() == shown


def test_a_slow_load_shows_its_progress_and_clears_it(monkeypatch):
    clock = iter([0.0, 0.5, 1.2, 1.25, 2.0])
    monkeypatch.setattr("moonlet.cli.progress.time.monotonic", lambda: next(clock))
    screen = FakeTerminal()
    with ProgressLine(Output(screen), "loading") as progress:
        progress(1, 100)
        assert screen.getvalue() == "", "the first second is quiet"
        progress(50, 100)
        progress(51, 100)
        progress(100, 100)
    lines = [line.rstrip() for line in screen.getvalue().split("\r") if line.strip()]
    assert lines == [f"loading [{'#' * 15}{'.' * 15}] 50 of 100", f"loading [{'#' * 30}] 100 of 100"]
    assert screen.getvalue().endswith("\r")
