"""Tasks: their answers are right, their checkers notice wrong ones, and training never sees the held-out side."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from moonlet.train.tasks import TASKS, Problem, Split, Task, draw, split_of
from moonlet.train.tasks.decimals import Decimals
from moonlet.train.tasks.facts import Facts
from moonlet.train.tasks.letters import Letters
from moonlet.train.tasks.sums import Sums

ALL = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


def problems(task: Task, count: int = 300) -> list[Problem]:
    rng = Random(task.name)
    return [task.sample(rng, rng.random()) for _ in range(count)]


@ALL
def test_reference_replies_are_accepted_in_both_modes(task: Task) -> None:
    for problem in problems(task):
        assert task.is_correct(problem, problem.answer), problem
        assert task.is_correct(problem, problem.instant), problem


@ALL
def test_replies_to_other_problems_and_empty_ones_are_refused(task: Task) -> None:
    drawn = problems(task)
    for problem, other in itertools.pairwise(drawn):
        assert not task.is_correct(problem, "")
        if other.expected != problem.expected and other.answer != problem.answer:
            assert not task.is_correct(problem, other.answer), (problem, other.answer)


@ALL
def test_training_and_held_out_problems_are_disjoint(task: Task) -> None:
    rng = Random(7)
    trained = {draw(task, rng, Split.TRAIN).key for _ in range(300)}
    held_out = {draw(task, rng, Split.HELD_OUT).key for _ in range(300)}
    assert not trained & held_out


@ALL
def test_a_seed_draws_the_same_problem_again(task: Task) -> None:
    assert draw(task, Random(3), Split.TRAIN) == draw(task, Random(3), Split.TRAIN)


def test_about_one_problem_in_ten_is_held_out() -> None:
    held_out = sum(split_of(f"sums {n} + {n}") is Split.HELD_OUT for n in range(5000))
    assert 0.08 < held_out / 5000 < 0.12


def test_the_famous_questions_are_never_trained_on() -> None:
    assert split_of("decimals 9.11 9.9") is Split.HELD_OUT
    assert split_of("word strawberry") is Split.HELD_OUT


def test_the_key_ignores_wording_and_order() -> None:
    rng = Random(0)
    keys = {}
    for _ in range(4000):
        problem = Sums().sample(rng, 0.0)
        first, sign, second = problem.key.split()[1:]
        if sign == "+":
            assert int(first) <= int(second)
            keys.setdefault(problem.key, set()).add(problem.user)
    assert max(map(len, keys.values())) > 1


def test_every_column_of_a_sum_is_true() -> None:
    for problem in problems(Sums()):
        columns = problem.thinking.split(": ")[-1].split(". So")[0]
        for column in columns.split(", "):
            work, result = column.split("=")
            assert eval(work.replace("-", " - ")) == int(result), problem  # digits and signs only


@pytest.mark.parametrize(
    ("user", "expected", "reply", "right"),
    [
        ("9.11 or 9.9", "9.9", "9.9 is bigger than 9.11.", True),
        ("9.11 or 9.9", "9.9", "9.11 is bigger than 9.9.", False),
        ("9.11 or 9.9", "9.9", "9.90 is bigger than 9.11.", False),
        ("9.11 or 9.9", "9.9", "they are equal", False),
        ("1.5 or 1.50", "equal", "1.5 and 1.50 are equal.", True),
        ("1.5 or 1.50", "equal", "1.5 is bigger than 1.50.", False),
    ],
)
def test_decimal_checker_reads_the_claim(user: str, expected: str, reply: str, right: bool) -> None:
    problem = Problem("decimals", user, "", "", "", expected)
    assert Decimals().is_correct(problem, reply) is right


def test_a_yes_or_no_question_needs_the_right_word() -> None:
    problem = Problem("d", "is 9.11 bigger than 9.9?", "", "", "9 = 9, 1 < 9, so no, 9.9 is bigger.", "9.9")
    assert Decimals().is_correct(problem, "No, 9.9 is bigger than 9.11.")
    assert not Decimals().is_correct(problem, "Yes, 9.9 is bigger than 9.11.")


def test_letter_checker_reads_the_last_count() -> None:
    problem = Problem("w", "how many r's are in strawberry?", "", "", "", "3")
    assert Letters().is_correct(problem, "s t r1 a w b e r2 r3 y: there are 3.")
    assert not Letters().is_correct(problem, "s t r1 a w b e r2 r y: there are 2.")


def test_a_fact_is_told_once_and_before_it_is_asked_for() -> None:
    for problem in problems(Facts()):
        told = problem.thinking.removeprefix("The text says: ")
        first_message = problem.lead[0][0] if problem.lead else problem.user
        assert first_message.count(told) == 1, problem


def test_follow_up_questions_stay_on_their_side_of_the_split() -> None:
    rng = Random(11)
    for split in Split:
        leads = [draw(Facts(), rng, split).lead for _ in range(200)]
        assert any(leads)
    for problem in problems(Facts()):
        for _, reply in problem.lead:
            assert reply[0].isupper() or reply[0].isdigit()
            assert reply.endswith(".")
