"""What `--until` means at a given moment, and how moments are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.moments import Unclear, parse_until, told

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def until(text: str) -> str:
    found = parse_until(text, NOW)
    assert isinstance(found, datetime), found
    assert found.tzinfo is UTC
    return found.isoformat().removesuffix("+00:00")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-27", "2026-12-28T00:00:00"),
        ("2026-12-27 UTC", "2026-12-28T00:00:00"),
        ("2026-11-23", "2026-11-24T00:00:00"),
        ("2026-12-27T18:00", "2026-12-27T18:00:00"),
        ("2026-12-27 18:00", "2026-12-27T18:00:00"),
        ("2026-12-27T18:00:30", "2026-12-27T18:00:30"),
        ("2026-12-27T18:00Z", "2026-12-27T18:00:00"),
        ("2026-12-27T18:00+01:00", "2026-12-27T17:00:00"),
        ("2026-12-27 18:00 +0530", "2026-12-27T12:30:00"),
        ("2026-12-27 18:00 -08", "2026-12-28T02:00:00"),
        ("2026-12-27 18:00 utc", "2026-12-27T18:00:00"),
        ("18:00", "2026-11-23T18:00:00"),
        ("18:00 UTC", "2026-11-23T18:00:00"),
        ("9:30", "2026-11-24T09:30:00"),
        ("10:00", "2026-11-24T10:00:00"),
        ("3h", "2026-11-23T13:00:00"),
        ("2d", "2026-11-25T10:00:00"),
        ("1h30m", "2026-11-23T11:30:00"),
        ("90 m", "2026-11-23T11:30:00"),
    ],
)
def test_a_time_is_understood_as_people_write_it(text: str, moment: str) -> None:
    assert until(text) == moment


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "until.unclear"),
        ("tomorrow", "until.unclear"),
        ("27.12.2026", "until.unclear"),
        ("2026-13-01", "until.unclear"),
        ("2026-02-30", "until.unclear"),
        ("2026-12-27T25:00", "until.unclear"),
        ("2026-12-27T18:00+99:00", "until.unclear"),
        ("24:00", "until.unclear"),
        ("0h", "until.unclear"),
        ("-3h", "until.unclear"),
        ("9999-12-31", "until.unclear"),
        ("2026-11-22", "until.past"),
        ("2026-11-23T10:00", "until.past"),
        ("2026-11-23T10:30+01:00", "until.past"),
        ("2027-12-27", "until.far"),
        ("400d", "until.far"),
        ("99999999999999h", "until.far"),
    ],
)
def test_what_is_no_time_to_come_is_refused_with_the_way_out(text: str, code: str) -> None:
    found = parse_until(text, NOW)
    assert isinstance(found, Unclear)
    assert found.code == code
    assert found.cause
    assert found.remedy


@given(st.text(max_size=60))
def test_any_text_is_a_time_to_come_or_unclear(text: str) -> None:
    found = parse_until(text, NOW)
    assert isinstance(found, Unclear) or NOW < found <= NOW + timedelta(days=366)


def test_a_moment_is_told_in_its_zone_and_in_utc() -> None:
    assert told(NOW) == "Mon 23 Nov 2026 10:00 UTC"
    assert told(NOW, "Europe/Berlin") == "Mon 23 Nov 2026 11:00 CET (10:00 UTC)"
    assert told(NOW, "Pacific/Auckland") == "Mon 23 Nov 2026 23:00 NZDT (10:00 UTC)"
    assert told(NOW + timedelta(hours=3), "Pacific/Auckland") == "Tue 24 Nov 2026 02:00 NZDT (Mon 23 Nov 13:00 UTC)"
