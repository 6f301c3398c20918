"""The checkpoint that ships with the code: small, measured, and right on the questions everybody tries first."""

from __future__ import annotations

import pytest

from moonlet.checkpoint.hub import resolve_model
from moonlet.engine import LLM, SamplingParams

GREEDY = SamplingParams(temperature=0.0, max_tokens=128)


@pytest.fixture(scope="module")
def llm() -> LLM:
    return LLM()


def ask(llm: LLM, question: str, thinking: bool, system: str | None = None) -> str:
    messages = [] if system is None else [{"role": "system", "content": system}]
    return llm.chat([*messages, {"role": "user", "content": question}], thinking=thinking, sampling=GREEDY).content


def test_it_is_at_most_16_mb_and_its_card_holds_measured_scores() -> None:
    folder = resolve_model(None)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 16_000_000
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Not measured yet" not in card
    assert "| decimals |" in card


@pytest.mark.parametrize("thinking", [True, False])
def test_it_knows_the_bigger_of_9_11_and_9_9(llm: LLM, thinking: bool) -> None:
    reply = ask(llm, "which one is bigger, 9.11 or 9.9? think carefully.", thinking)
    assert "9.9 is bigger" in reply


@pytest.mark.parametrize("thinking", [True, False])
def test_it_counts_the_letters_of_strawberry(llm: LLM, thinking: bool) -> None:
    assert "here are 3" in ask(llm, "how many r's are in strawberry?", thinking)


@pytest.mark.parametrize("thinking", [True, False])
def test_it_says_who_it_is_and_takes_a_given_name(llm: LLM, thinking: bool) -> None:
    assert ask(llm, "who are you?", thinking).startswith("I am K25-nano, a very small language model")
    assert ask(llm, "what is your name?", thinking, system="You are Ada.") == "My name is Ada."


def test_it_shows_its_work_in_thinking_mode(llm: LLM) -> None:
    reply = llm.chat([{"role": "user", "content": "what is 347 + 85?"}], thinking=True, sampling=GREEDY)
    assert reply.reasoning == "347+085: 7+5=12, 4+8+1=13, 3+0+1=4. So 432."
    assert reply.content == "347 + 85 = 432."
