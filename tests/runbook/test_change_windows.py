"""When production may be changed: weekly and dated windows, in time zones, on the days when clocks jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.plan import from_json, to_json
from runbook.policy import ChangeWindow
from runbook.recurrence import BadRule, check_rule
from runbook.rules.change_windows import check_change_window, next_opening, open_now
from runbook.steps.calm import ChangeWindowOpen
from runbook.verdicts import Outcome

WEEKDAYS = ChangeWindow("weekdays", "Europe/Berlin", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH;BYHOUR=9", 8 * 3600.0)
NIGHTLY = ChangeWindow("nightly", "Europe/Berlin", "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", 1800.0)
ALWAYS = ChangeWindow("always", rrule="FREQ=DAILY", duration_s=86_400.0)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def is_open(window: ChangeWindow, at: str) -> bool:
    return check_change_window((window,), utc(at)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-23T07:59:59", False),
        ("2026-11-23T08:00:00", True),
        ("2026-11-23T15:59:59", True),
        ("2026-11-23T16:00:00", False),
        ("2026-11-26T12:00:00", True),
        ("2026-11-27T12:00:00", False),  # Friday
        ("2026-11-29T12:00:00", False),
        ("2026-07-20T06:59:59", False),  # summer: an hour earlier in UTC
        ("2026-07-20T07:00:00", True),
        ("2026-07-20T15:00:00", False),
        ("2026-10-26T08:00:00", True),  # the Monday after clocks went back
        ("2026-10-26T07:59:00", False),
    ],
)
def test_a_weekly_window_is_open_at_its_local_hours(at: str, expected: bool) -> None:
    assert is_open(WEEKDAYS, at) is expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-03-28T01:30:00", True),  # the day before: 02:30 CET
        ("2026-03-29T00:30:00", False),
        ("2026-03-29T01:00:00", False),  # clocks go from 02:00 to 03:00: there is no 02:30
        ("2026-03-29T01:30:00", False),
        ("2026-03-30T00:30:00", True),  # the day after: 02:30 CEST
        ("2026-10-25T00:30:00", True),  # 02:30 comes twice: the first is meant
        ("2026-10-25T00:59:59", True),
        ("2026-10-25T01:00:00", False),
        ("2026-10-25T01:30:00", False),  # the second 02:30
        ("2026-10-26T01:30:00", True),
    ],
)
def test_a_window_at_an_hour_that_is_missing_or_comes_twice(at: str, expected: bool) -> None:
    assert is_open(NIGHTLY, at) is expected


def test_hours_are_exact_and_whole_days_are_days_of_the_calendar() -> None:
    eight_hours = ChangeWindow("night", "Europe/Berlin", "FREQ=DAILY;BYHOUR=22", 8 * 3600.0)
    verdict = check_change_window((eight_hours,), utc("2026-10-24T21:00:00"))
    assert "until Sun 25 Oct 2026 05:00 CET" in verdict.reason
    whole_day = ChangeWindow("day", "Europe/Berlin", "FREQ=DAILY", 86_400.0)
    assert is_open(whole_day, "2026-10-25T22:30:00")  # the 25th hour of that day
    assert is_open(whole_day, "2026-03-29T21:30:00")


def test_inside_it_says_which_window_and_until_when() -> None:
    verdict = check_change_window((WEEKDAYS,), utc("2026-11-23T10:00:00"))
    assert verdict.outcome is Outcome.PASS
    assert verdict.reason == "“weekdays” is open until Mon 23 Nov 2026 17:00 CET (16:00 UTC)"


def test_outside_it_says_when_the_next_opens_in_both_zones() -> None:
    verdict = check_change_window((WEEKDAYS,), utc("2026-11-27T10:00:00"))
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "window.closed")
    assert "“weekdays” opens Mon 30 Nov 2026 09:00 CET (08:00 UTC)" in verdict.reason
    assert "/forge override" in verdict.remedy


def test_a_moment_on_another_day_in_utc_names_that_day() -> None:
    tokyo = ChangeWindow("tokyo", "Asia/Tokyo", "FREQ=WEEKLY;BYDAY=SU;BYHOUR=6", 3600.0)
    verdict = check_change_window((tokyo,), utc("2026-11-27T10:00:00"))
    assert "opens Sun 29 Nov 2026 06:00 JST (Sat 28 Nov 21:00 UTC)" in verdict.reason


def test_without_windows_nothing_is_known_and_the_remedy_names_the_explicit_always() -> None:
    verdict = check_change_window((), utc("2026-11-23T10:00:00"))
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "window.unconfigured")
    assert "no change window is configured" in verdict.reason
    assert "FREQ=DAILY" in verdict.remedy


def test_the_explicit_always_is_open_at_every_moment() -> None:
    for minute in range(0, 3 * 24 * 60, 7):
        assert open_now((ALWAYS,), utc("2026-12-30T00:00:00") + timedelta(minutes=minute)) is not None
    verdict = check_change_window((ALWAYS,), utc("2026-12-31T23:59:59"))
    assert verdict.reason == "“always” is open for more than a week from now"


def test_windows_that_join_each_other_are_told_as_one() -> None:
    morning = ChangeWindow("morning", rrule="FREQ=DAILY;BYHOUR=8", duration_s=4 * 3600.0)
    afternoon = ChangeWindow("afternoon", rrule="FREQ=DAILY;BYHOUR=12", duration_s=3 * 3600.0)
    verdict = check_change_window((morning, afternoon), utc("2026-11-23T09:00:00"))
    assert verdict.reason == "“morning” is open until Mon 23 Nov 2026 15:00 UTC"


def test_of_several_windows_the_nearest_is_named() -> None:
    sunday = ChangeWindow("sunday", rrule="FREQ=WEEKLY;BYDAY=SU;BYHOUR=6", duration_s=3600.0)
    verdict = check_change_window((WEEKDAYS, sunday), utc("2026-11-27T10:00:00"))
    assert "“sunday” opens Sun 29 Nov 2026 06:00 UTC" in verdict.reason


@pytest.mark.parametrize(
    ("at", "outcome", "code"),
    [
        ("2026-12-12T07:59:00", Outcome.FAIL, "window.closed"),
        ("2026-12-12T08:00:00", Outcome.PASS, "ok"),
        ("2026-12-13T10:59:59", Outcome.PASS, "ok"),
        ("2026-12-13T11:00:00", Outcome.FAIL, "window.none_left"),
    ],
)
def test_a_dated_window_opens_once(at: str, outcome: Outcome, code: str) -> None:
    dated = ChangeWindow("move", "Europe/Berlin", starts="2026-12-12T09:00", ends="2026-12-13T12:00")
    verdict = check_change_window((dated,), utc(at))
    assert (verdict.outcome, verdict.code) == (outcome, code)


@pytest.mark.parametrize(
    ("rule", "starts", "opens"),
    [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "2026-11-02T09:00", "2026-11-30T09:00:00"),
        ("FREQ=WEEKLY;INTERVAL=2", "2026-11-09T09:00", "2026-12-07T09:00:00"),
        ("FREQ=MONTHLY;BYDAY=1TU;BYHOUR=9", "", "2026-12-01T09:00:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "", "2026-11-30T00:00:00"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "", "2028-02-29T00:00:00"),
        ("RRULE:FREQ=DAILY;BYHOUR=6,18", "", "2026-11-23T18:00:00"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYHOUR=20", "", "2026-11-30T20:00:00"),
        ("FREQ=WEEKLY;COUNT=5", "2026-11-02T09:00", "2026-11-30T09:00:00"),
    ],
)
def test_rules_of_every_kind_open_when_a_calendar_shows_them(rule: str, starts: str, opens: str) -> None:
    check_rule(rule, starts)
    opening = next_opening((ChangeWindow("w", rrule=rule, starts=starts, duration_s=60.0),), utc("2026-11-23T10:00:00"))
    assert opening is not None
    assert opening.starts == utc(opens)


@pytest.mark.parametrize(
    ("until", "last", "zone"),
    [
        ("20261125", "2026-11-25T09:00:00", "UTC"),
        ("20261125T085959", "2026-11-24T09:00:00", "UTC"),
        ("20261125T090000", "2026-11-25T09:00:00", "UTC"),
        ("20261125T080000Z", "2026-11-25T08:00:00", "Europe/Berlin"),
        ("20261125T075959Z", "2026-11-24T08:00:00", "Europe/Berlin"),
    ],
)
def test_a_rule_ends_where_its_until_says(until: str, last: str, zone: str) -> None:
    window = ChangeWindow("w", zone, f"FREQ=DAILY;BYHOUR=9;UNTIL={until}", 60.0)
    assert next_opening((window,), utc(last) - timedelta(seconds=1)) is not None
    assert next_opening((window,), utc(last)) is None
    assert check_change_window((window,), utc("2027-01-01T00:00:00")).code == "window.none_left"


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        ("", "no part of a rule"),
        ("every monday", "no part of a rule"),
        ("BYDAY=MO", "needs FREQ"),
        ("FREQ=HOURLY", "no frequency of windows"),
        ("FREQ=WEEKLY", "doesn't say on which days"),
        ("FREQ=MONTHLY;BYHOUR=9", "doesn't say on which days"),
        ("FREQ=WEEKLY;BYDAY=XX", "BYDAY=XX is no day"),
        ("FREQ=DAILY;BYHOUR=25", "BYHOUR=25 is out of range"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "out of range"),
        ("FREQ=DAILY;BYMINUTE=1.5", "no part of a rule"),
        ("FREQ=DAILY;FOO=1", "FOO is nothing"),
        ("FREQ=DAILY;BYEASTER=0", "BYEASTER is nothing"),
        ("FREQ=DAILY;BYHOUR=1;BYHOUR=2", "stands twice"),
        ("FREQ=DAILY;INTERVAL=2", "counts from a beginning"),
        ("FREQ=DAILY;COUNT=2", "counts from a beginning"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0 is no number"),
        ("FREQ=DAILY;UNTIL=tomorrow", "no part of a rule"),
        ("FREQ=DAILY;UNTIL=20261399", "is no moment"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never comes about"),
        ("FREQ=DAILY;UNTIL=20200101", "never comes about"),
        ("FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=0,10,20,30,40", "25 times a day"),
        ("FREQ=DAILY\nRRULE:FREQ=DAILY", "no part of a rule"),
        ("FREQ=WEEKLY;BYDAY=+1MO,", "BYDAY= is no day"),
    ],
)
def test_a_bad_rule_is_refused_with_cause_and_remedy(rule: str, cause: str) -> None:
    with pytest.raises(BadRule) as caught:
        check_rule(rule)
    assert cause in caught.value.cause
    assert caught.value.remedy


def test_a_window_that_cant_be_used_is_unknown_and_never_open() -> None:
    for window in (
        ChangeWindow("w", rrule="nonsense"),
        ChangeWindow("w", "Nowhere/Town", "FREQ=DAILY"),
        ChangeWindow("w", starts="soon", ends="later"),
    ):
        verdict = check_change_window((window,), utc("2026-11-23T10:00:00"))
        assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "window.unusable")
        assert "forge config validate" in verdict.remedy


_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia")


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(_ZONES),
    st.integers(0, 23),
    st.integers(0, 59),
    st.sampled_from((900.0, 3600.0, 8 * 3600.0, 86_400.0, 3 * 86_400.0)),
    st.integers(0, 6 * 365 * 24 * 60),
)
def test_what_opens_next_is_open_then_and_was_not_told_as_open_before(
    zone: str, hour: int, minute: int, duration_s: float, minutes: int
) -> None:
    window = ChangeWindow("w", zone, f"FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR={hour};BYMINUTE={minute}", duration_s)
    now = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    following = next_opening((window,), now)
    assert following is not None
    assert following.starts > now
    assert following.ends > following.starts
    assert open_now((window,), following.starts) is not None
    here = open_now((window,), now)
    assert here is None or here.starts <= now < here.ends
    assert following.starts - now <= timedelta(days=15)


def test_the_check_is_stored_in_a_plan_and_comes_back_equal() -> None:
    check = ChangeWindowOpen((WEEKDAYS, NIGHTLY))
    assert from_json(ChangeWindowOpen, to_json(check)) == check
