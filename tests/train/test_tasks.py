"""Tasks: their answers are right, their checkers notice wrong ones, and training never sees the held-out side."""

from __future__ import annotations

import itertools
import re
from random import Random

import pytest

from moonlet.train.tasks import TASKS, Problem, Split, Task, draw, split_of
from moonlet.train.tasks.decimals import Decimals, compared
from moonlet.train.tasks.event_time import TOLERANCE_S, EventTime
from moonlet.train.tasks.facts import Facts
from moonlet.train.tasks.letters import Letters
from moonlet.train.tasks.sorting import Sorting
from moonlet.train.tasks.sums import Sums
from moonlet.train.tasks.wordlist import payload_name

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
        if isinstance(task, EventTime) and abs(float(other.expected) - float(problem.expected)) <= TOLERANCE_S:
            continue  # as good as right
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


def text_of(problem: Problem) -> str:
    return problem.lead[0].user if problem.lead else problem.user


def test_a_fact_is_told_once_and_before_it_is_asked_for() -> None:
    for problem in problems(Facts()):
        told = problem.thinking.removeprefix("The text says: ").split(": no. ")[-1].removesuffix(": yes.")
        assert text_of(problem).count(told.removesuffix(".") + ".") == 1, problem


def test_a_walk_reads_the_text_in_order_up_to_the_one_sentence_that_answers() -> None:
    walks = [problem for problem in problems(Facts()) if problem.thinking.endswith(": yes.")]
    assert len(walks) > 50
    for problem in walks:
        *passed, hit = problem.thinking.removesuffix(": yes.").split(": no. ")
        assert ". ".join([*passed, hit]) + "." in text_of(problem)
        subject = problem.expected.removesuffix(".")
        assert hit.startswith(subject)
        assert not any(sentence.startswith(subject) and sentence == hit for sentence in passed)


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("Daisy.", True),
        ("Sloun bought 16 desks: no. Daisy bought 6 frogs: yes. So Daisy.", True),
        ("Sloun bought 16 desks: yes. So Sloun.", False),
        ("Daisy bought 6 frogs: yes. So Sloun.", False),
        ("Daisy", False),
        ("Daisy bought 16 desks: yes.", False),
        ("So Daisy. Sloun.", False),
    ],
)
def test_fact_checker_reads_what_was_concluded(reply: str, right: bool) -> None:
    instant = "Sloun bought 16 desks: no. Daisy bought 6 frogs: yes. So Daisy."
    problem = Problem("facts", "who bought 6 frogs?", "", "Daisy.", instant, "Daisy.")
    assert Facts().is_correct(problem, reply) is right


def test_the_told_sentence_itself_is_an_answer_and_another_one_is_not() -> None:
    problem = Problem("facts", "where does Ada live?", "", "Oslo.", "Ada lives in Oslo.", "Oslo.")
    assert Facts().is_correct(problem, "Ada lives in Oslo.")
    assert not Facts().is_correct(problem, "Ada lives in Rome.")
    assert not Facts().is_correct(problem, "Ben lives in Oslo.")


def test_follow_up_questions_stay_on_their_side_of_the_split() -> None:
    rng = Random(11)
    for split in Split:
        leads = [draw(Facts(), rng, split).lead for _ in range(200)]
        assert any(leads)
    for problem in problems(Facts()):
        for turn in problem.lead:
            for reply in (turn.answer, turn.instant):
                assert reply[0].isupper() or reply[0].isdigit()
                assert reply.endswith(".")


def test_no_text_is_about_somebody_called_she() -> None:
    rng = Random(5)
    assert not {"She", "You", "They", "The", "Who"} & {payload_name(rng) for _ in range(20_000)}


def test_every_verdict_on_two_decimals_is_true_and_the_last_one_decides() -> None:
    for problem in problems(Decimals()):
        comparisons = re.findall(r"(\d+) and (\d+): (?:(equal)|(?:digits )?(\d+) ([<>]) (\d+))", problem.thinking)
        assert comparisons
        for x, y, equal, left, sign, right in comparisons:
            if equal:
                assert x == y
            else:
                assert (left, right) in ((x, y), (str(len(x)), str(len(y))))
                assert sign == ("<" if int(left) < int(right) else ">")
                assert (sign == "<") == (int(x) < int(y))
                assert len(left) == 1
        assert all(equal for _, _, equal, *_ in comparisons[:-1])


@pytest.mark.parametrize(
    ("a", "b", "work"),
    [
        ("9.11", "9.9", "Whole parts 9 and 9: equal. Tenths 1 and 9: 1 < 9"),
        ("890.1", "889", "Whole parts 890 and 889, digits 8 and 8: equal, 9 and 8: 9 > 8"),
        ("12.5", "12", "Whole parts 12 and 12, digits 1 and 1: equal, 2 and 2: equal. Tenths 5 and 0: 5 > 0"),
        ("99.9", "101", "Whole parts 99 and 101: digits 2 < 3"),
        ("7", "7.0", "Whole parts 7 and 7: equal. Tenths 0 and 0: equal"),
    ],
)
def test_decimals_are_compared_one_digit_at_a_time(a: str, b: str, work: str) -> None:
    assert compared(a, b) == work


def test_sorting_compares_things_of_one_width() -> None:
    for problem in problems(Sorting()):
        answer = problem.expected.split(", ")
        asked = [item for item in re.split(r"[ ,:]+", problem.user.rstrip(" .?")) if item in answer][-len(answer) :]
        kind, given, ordered = re.split(": |, sorted: ", problem.thinking.removesuffix("."))
        if kind == "First letters":
            assert given.split(",") == [word[:3] for word in asked]
            assert ordered.split(",") == [word[:3] for word in answer]
            assert sorted(answer) == answer
        else:
            width = max(map(len, answer))
            filled = [value.zfill(width) for value in asked]
            mixed = min(map(len, answer)) < width
            assert given.split() == [f"{a}={b}" if mixed else b for a, b in zip(asked, filled, strict=True)]
            assert ordered.split() == [value.zfill(width) for value in answer]
            assert ordered.split() in (sorted(filled), sorted(filled, reverse=True))


def test_a_list_must_be_whole_and_in_order() -> None:
    problem = Problem("sort", "sort 3 1 2", "", "1, 2, 3", "Numbers: 3 1 2, sorted: 1 2 3. So: 1, 2, 3", "1, 2, 3")
    assert Sorting().is_correct(problem, "Numbers: 3 1 2, sorted: 1 2 3. So: 1, 2, 3")
    for reply in ("Numbers: 3 1 2, sorted: 1 2 3. So: 1, 2", "Numbers: 3 1 2, sorted: 1 2 3.", "So: 1, 3, 2", "1 2 3"):
        assert not Sorting().is_correct(problem, reply)
