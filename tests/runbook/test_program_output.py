"""What people see of a program's output is plain, short and without secrets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runbook.reports.output import LINE_LIMIT, TEXT_LIMIT, last_lines, one_line, plain


def test_colours_titles_and_control_characters_are_taken_out() -> None:
    assert plain("\x1b[1;31mred\x1b[0m \x1b]0;title\x07b\x08\x00ell\x07\x9b") == "red bell"


def test_marks_that_turn_the_direction_of_writing_are_taken_out() -> None:
    assert plain("safe\u202egnp.exe\u200b") == "safegnp.exe"


def test_a_progress_bar_keeps_its_last_state() -> None:
    assert plain("10 %\r50 %\r100 %\r\nend\r\n") == "100 %\nend\n"


def test_the_last_lines_that_say_something_are_shown() -> None:
    assert last_lines("one\ntwo\n\n  \nthree\n", 2) == "two\nthree"
    assert last_lines("", 5) == ""
    assert last_lines("one", 0) == ""


def test_long_lines_and_long_ends_are_shortened() -> None:
    text = "\n".join("x" * 1000 for _ in range(100))
    shown = last_lines(text, 50)
    assert len(shown) <= TEXT_LIMIT
    assert all(len(line) <= LINE_LIMIT for line in shown.split("\n"))


def test_a_secret_in_a_long_line_is_taken_out_before_it_is_shortened() -> None:
    assert "hunter2" not in last_lines("y" * 180 + " password=hunter2hunter2hunter2", 1)


def test_the_rest_of_a_line_that_was_cut_off_is_not_shown() -> None:
    """It may be a secret whose name is missing."""
    assert "hunter2" not in last_lines("password=" + "hunter2" * 20_000 + "\nend", 5)


@given(st.text(), st.integers(0, 30))
def test_whatever_was_printed_is_shown_within_bounds(text: str, count: int) -> None:
    shown = last_lines(text, count)
    assert len(shown) <= TEXT_LIMIT
    assert shown.count("\n") < max(count, 1)
    assert "\x1b" not in shown
    assert "\n" not in one_line(text)
