"""The moment of a segment promises never more than is in it, whatever is remembered, thinned or lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from integrations.postgres.wal_marks import UNKNOWN, Marks, marks_text, read_marks, write_marks
from runbook.backups import Digest, StoredFile, WalSegment
from tests.fakes.clock import NOON

SEGMENT = WalSegment(
    "shop", "prod", "7345", 1, "0" * 23 + "5", StoredFile("5.age", Digest(16, "ab"), Digest(20, "cd")), NOON
)


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def test_a_segments_moment_is_the_last_one_at_which_the_server_was_not_beyond_it() -> None:
    marks = Marks()
    for second, lsn in ((0, 100), (10, 200), (20, 300), (30, 400)):
        marks.add(at(second), lsn)
    assert [marks.moment(end) for end in (99, 100, 250, 300, 999)] == [UNKNOWN, at(0), at(10), at(20), at(30)]


def test_what_is_forgotten_changes_no_later_segment() -> None:
    marks = Marks()
    for second, lsn in ((0, 100), (10, 200), (20, 300), (30, 400)):
        marks.add(at(second), lsn)
    marks.forget(250)
    assert [marks.moment(end) for end in (250, 300, 500)] == [at(10), at(20), at(30)]


def test_while_nothing_is_written_the_moment_goes_on_in_two_marks() -> None:
    marks = Marks()
    for second in range(1000):
        marks.add(at(second), 100)
    assert marks.marks == [(at(0), 100), (at(999), 100)]


def test_a_position_that_went_back_takes_the_promises_with_it() -> None:
    """Another server took over that had not got everything."""
    marks = Marks()
    marks.add(at(0), 100)
    marks.add(at(10), 300)
    marks.add(at(20), 200)
    assert marks.moment(250) == at(20)
    assert marks.moment(150) == at(0)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=300))
def test_a_moment_is_never_later_than_the_truth(steps: list[int]) -> None:
    marks, lsn, truth = Marks(), 0, []
    for second, step in enumerate(steps):
        lsn += step
        truth.append((at(second), lsn))
        marks.add(at(second), lsn)
    for end in range(0, lsn + 2, 7):
        assert marks.moment(end) <= max((moment for moment, position in truth if position <= end), default=UNKNOWN)


def test_thousands_of_marks_are_thinned_and_still_true() -> None:
    marks = Marks()
    for second in range(12_000):
        marks.add(at(second), second * 10)
    assert len(marks.marks) <= 5_000
    assert marks.marks[0] == (at(0), 0)
    for end in range(0, 120_000, 997):
        assert at(0) <= marks.moment(end) <= at(end // 10)
    assert marks.moment(119_995) == at(11_999)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    marks = Marks([(at(0), 100), (at(1), 200)], {"a", "b"}, SEGMENT)
    write_marks(tmp_path / "marks.json", marks_text(marks))
    assert read_marks(tmp_path / "marks.json") == marks


def test_a_file_that_cant_be_read_is_nothing_remembered(tmp_path: Path) -> None:
    assert read_marks(tmp_path / "none.json") == Marks()
    for text in ("", "[]", '{"marks": [["yesterday", 1]]}', '{"marks": [], "done": [], "last": {"name": 1}}'):
        (tmp_path / "marks.json").write_text(text)
        assert read_marks(tmp_path / "marks.json") == Marks()


def test_the_newest_segments_moment_goes_forwards_only() -> None:
    marks = Marks(last=SEGMENT)
    assert marks.moved(NOON) is None
    assert marks.moved(at(5)) == replace(SEGMENT, ended_at=at(5))
    assert marks.moved(at(4)) is None
    assert Marks().moved(NOON) is None
