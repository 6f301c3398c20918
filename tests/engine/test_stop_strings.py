import random

import pytest

from moonlet.engine.stop_strings import StopStrings


def feed(stop: tuple[str, ...], pieces: list[str]) -> tuple[str, str | None]:
    """(text let through, stop string matched)."""
    filter_ = StopStrings(stop)
    text = "".join(filter_.push(piece) for piece in pieces)
    return text + filter_.flush(), filter_.matched


@pytest.mark.parametrize(
    ("stop", "text", "expected", "matched"),
    [
        (("END",), "one END two", "one ", "END"),
        (("END",), "one EN", "one EN", None),
        (("END",), "EENEND", "EEN", "END"),
        (("aab",), "aaaab", "aa", "aab"),
        (("abcX", "bc"), "abcX", "a", "bc"),
        (("bc", "abc"), "abc", "", "abc"),
        (("\n\n",), "a\nb\n\nc", "a\nb", "\n\n"),
        (("x",), "x", "", "x"),
        (("é→",), "caf é→", "caf ", "é→"),
        ((), "anything", "anything", None),
    ],
)
def test_the_outcome_is_the_same_for_every_cut(stop, text, expected, matched):
    rng = random.Random(3)
    for _ in range(60):
        cuts = sorted(rng.sample(range(len(text) + 1), rng.randrange(min(6, len(text) + 1))))
        pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert feed(stop, pieces) == (expected, matched), pieces


def test_text_is_held_back_only_while_it_may_become_a_stop_string():
    filter_ = StopStrings(("STOP",))
    assert filter_.push("go ST") == "go "
    assert filter_.push("ART S") == "START "
    assert filter_.push("TO") == ""
    assert filter_.push("P and more") == ""
    assert filter_.matched == "STOP"
    assert filter_.push("never shown") == ""
    assert filter_.flush() == ""


def test_random_text_never_lets_a_stop_string_through():
    rng = random.Random(8)
    for _ in range(500):
        stop = tuple({"".join(rng.choices("ab", k=rng.randint(1, 4))) for _ in range(rng.randint(1, 3))})
        text = "".join(rng.choices("abc", k=30))
        passed, matched = feed(stop, list(text))
        assert not any(s in passed for s in stop)
        assert text.startswith(passed + (matched or ""))
        assert matched is not None or passed == text
