"""The chat as a program: in a terminal, in a pipe, interrupted, hung up on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.pty_process import PtyProcess

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "tests.fakes.program", "chat"]
LONG = "Let me think.</think>" + "word " * 400


def environment(tmp_path: Path, replies: list[str], step_s: float = 0.0, **extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TERM": "xterm",
        "MOONLET_FAKE_REPLIES": json.dumps(replies),
        "MOONLET_FAKE_STEP_S": str(step_s),
        **extra,
    }


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., PtyProcess]]:
    opened = []

    def start(*arguments: str, replies: list[str], step_s: float = 0.0, **extra: str) -> PtyProcess:
        opened.append(PtyProcess([*PROGRAM, *arguments], environment(tmp_path, replies, step_s, **extra)))
        return opened[-1]

    yield start
    for process in opened:
        process.close()


def test_a_conversation_with_interruptions(terminal, tmp_path):
    chat = terminal(replies=[LONG, "Sure.</think>Second answer."], step_s=0.005)
    chat.expect("> ")
    chat.send("first question\r")
    chat.expect("\x1b[2m")  # thinking is dimmed
    chat.expect("word word")
    chat.send("\x03")
    chat.expect("[stopped]")
    chat.expect("> ")
    chat.send("/stats\r")
    chat.expect("conversation: 1 reply")
    chat.expect("> ")
    chat.send("second question\r")
    chat.expect("Second answer.")
    chat.expect("> ")
    saved = tmp_path / "talk.json"
    chat.send(f"/save {saved}\r")
    chat.expect("saved to")
    chat.expect("> ")
    # Ctrl+C at an empty prompt: a hint first, then the end.
    chat.interrupt_typing()
    chat.expect("Ctrl+C again or /exit leaves")
    chat.expect("> ")
    chat.send("half a line")
    chat.expect("half a line")
    chat.interrupt_typing()
    chat.expect("> ")
    chat.interrupt_typing()
    chat.expect("Ctrl+C again")
    chat.expect("> ")
    chat.interrupt_typing()
    assert chat.wait() == 0
    assert "Traceback" not in chat.screen
    messages = json.loads(saved.read_text())["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant"]
    assert messages[1]["content"].startswith("word word")
    assert len(messages[1]["content"]) < 2000
    history = tmp_path / "state" / "moonlet" / "chat_history"
    assert "second question" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("arguments", [[], ["--prompt", "question"]], ids=["conversation", "single"])
def test_a_terminal_that_closes_mid_answer_ends_the_program(terminal, arguments):
    chat = terminal(*arguments, replies=[LONG], step_s=0.005)
    if not arguments:
        chat.expect("> ")
        chat.send("question\r")
    chat.expect("word word")
    chat.hang_up()
    assert chat.wait() == 2


def test_no_color_leaves_no_escape_codes(terminal):
    chat = terminal("--prompt", "question", replies=["Thoughts.</think>Answer."], NO_COLOR="1")
    assert chat.wait() == 0
    assert chat.screen.splitlines() == ["[thinking]", "Thoughts.", "[answer]", "Answer."]


def test_escape_sequences_of_the_model_do_not_reach_the_terminal(terminal):
    reply = "a\x1b[31mb</think>\x1b]0;title\x07c\x9b1md\x08\x7f\te"
    chat = terminal("--prompt", "question", replies=[reply])
    assert chat.wait() == 0
    shown = chat.screen.replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert not any((ord(char) < 32 and char not in "\r\n\t") or 127 <= ord(char) < 160 for char in shown)
    assert "]0;titlec1md\te" in shown


def test_a_reader_that_leaves_ends_the_answer_without_a_traceback(tmp_path):
    process = subprocess.Popen(
        [*PROGRAM, "--prompt", "question"],
        env=environment(tmp_path, [LONG]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(5) == b"word "
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait(30) == 2
    assert errors.strip() == "Let me think."


def test_ctrl_c_ends_a_single_answer(tmp_path):
    process = subprocess.Popen(
        [*PROGRAM, "--prompt", "question"],
        env=environment(tmp_path, [LONG], step_s=0.005),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.read(5) == b"word "
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in errors
