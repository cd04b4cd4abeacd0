"""When a schedule is due, in local time and over the days on which clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from engine.occurrences import newest_due, next_occurrence

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
NIGHTLY = "FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0"


def utc(day: int, hour: int, minute: int = 0, month: int = 3) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def test_the_newest_of_several_that_were_missed_is_due_with_their_number() -> None:
    assert newest_due(NIGHTLY, UTC_ZONE, utc(2, 2, 30), utc(5, 1)) == (utc(4, 2, 30), 2)
    assert newest_due(NIGHTLY, UTC_ZONE, utc(4, 2, 30), utc(5, 1)) is None
    assert newest_due(NIGHTLY, UTC_ZONE, utc(4, 2, 30), utc(5, 2, 30)) == (utc(5, 2, 30), 1)


def test_the_next_one_is_later_than_the_moment_itself() -> None:
    assert next_occurrence(NIGHTLY, UTC_ZONE, utc(4, 2, 30)) == utc(5, 2, 30)
    assert next_occurrence(NIGHTLY, UTC_ZONE, utc(4, 2, 29)) == utc(4, 2, 30)


def test_no_night_is_without_a_backup_when_its_hour_is_left_out() -> None:
    """On 29 March 2026 clocks in Berlin go from 02:00 to 03:00."""
    assert next_occurrence(NIGHTLY, BERLIN, utc(28, 12)) == utc(29, 1, 30)
    assert next_occurrence(NIGHTLY, BERLIN, utc(29, 1, 30)) == utc(30, 0, 30)


def test_an_hour_that_comes_twice_has_one_backup() -> None:
    """On 25 October 2026 clocks in Berlin go from 03:00 back to 02:00."""
    first = next_occurrence(NIGHTLY, BERLIN, utc(24, 12, month=10))
    assert first == utc(25, 0, 30, month=10)
    assert next_occurrence(NIGHTLY, BERLIN, utc(25, 0, 30, month=10)) == utc(26, 1, 30, month=10)


def test_every_local_day_of_a_year_has_exactly_one() -> None:
    at, found = utc(1, 0, month=1), []
    while (following := next_occurrence(NIGHTLY, BERLIN, at)) is not None and len(found) < 365:
        found.append(following)
        at = following
    assert len({each.astimezone(BERLIN).date() for each in found}) == 365
    assert all(timedelta(hours=22) < b - a < timedelta(hours=26) for a, b in pairwise(found))


def test_a_rule_that_has_ended_is_never_due_again() -> None:
    assert next_occurrence(f"{NIGHTLY};UNTIL=20260303", UTC_ZONE, utc(3, 3)) is None
    assert next_occurrence(f"{NIGHTLY};UNTIL=20260303T000000Z", UTC_ZONE, utc(2, 3)) is None
