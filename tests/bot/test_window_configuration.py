"""policy.prod.windows and slack.incident_channel in forge.yaml: what is accepted, and what is refused at which key with which way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.configuration.loading import Configuration, load
from runbook.documents.problems import ConfigurationError, Problem
from runbook.policy import ChangeWindow

EXAMPLE = (Path(__file__).parents[2] / "examples" / "forge.yaml").read_text(encoding="utf-8")
WEEKDAYS = 'name: weekdays, zone: Europe/Berlin, rrule: "FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=9", duration: 8h'


def loaded(tmp_path: Path, *windows: str) -> Configuration:
    lines = "".join(f"      - {{ {window} }}\n" for window in windows)
    file = tmp_path / "forge.yaml"
    file.write_text(
        EXAMPLE.partition("\npolicy:\n")[0] + f"\npolicy:\n  prod:\n    windows:\n{lines}", encoding="utf-8"
    )
    return load(file, {"FORGE_DATA_DIR": str(tmp_path)})


def problem(tmp_path: Path, *windows: str) -> Problem:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, *windows)
    assert len(caught.value.problems) == 1, caught.value
    return caught.value.problems[0]


def test_windows_by_rule_and_by_date_are_accepted(tmp_path: Path) -> None:
    configuration = loaded(
        tmp_path,
        WEEKDAYS,
        "name: move, zone: Europe/Berlin, starts: 2026-12-12T09:00, ends: 2026-12-13T12:00",
        "name: always, rrule: FREQ=DAILY, duration: 1d",
        'name: fortnightly, starts: 2026-01-05T09:00, rrule: "FREQ=WEEKLY;INTERVAL=2"',
    )
    assert configuration.setting.policy.prod.windows == (
        ChangeWindow("weekdays", "Europe/Berlin", "FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=9", 28_800.0),
        ChangeWindow("move", "Europe/Berlin", starts="2026-12-12T09:00", ends="2026-12-13T12:00"),
        ChangeWindow("always", rrule="FREQ=DAILY", duration_s=86_400.0),
        ChangeWindow("fortnightly", rrule="FREQ=WEEKLY;INTERVAL=2", starts="2026-01-05T09:00"),
    )


@pytest.mark.parametrize(
    ("window", "key", "cause", "remedy"),
    [
        ('name: w, rrule: "FREQ=WEEKLY;BYDAY=XX"', ".rrule", "BYDAY=XX is no day", "MO, TU, WE"),
        ("name: w, rrule: every monday", ".rrule", "no part of a rule", "FREQ=WEEKLY"),
        ("name: w, rrule: FREQ=HOURLY", ".rrule", "no frequency of windows", "DAILY, WEEKLY"),
        ("name: w, rrule: FREQ=WEEKLY", ".rrule", "doesn't say on which days", "BYDAY"),
        ('name: w, rrule: "FREQ=DAILY;INTERVAL=2"', ".rrule", "counts from a beginning", "starts:"),
        ("name: w, zone: Europe/Berln, rrule: FREQ=DAILY", ".zone", "is no time zone", "Europe/Berlin"),
        ("name: w, zone: CEST, rrule: FREQ=DAILY", ".zone", "is no time zone", "IANA"),
        ("name: w, zone: ../etc/passwd, rrule: FREQ=DAILY", ".zone", "is no time zone", ""),
        ("name: w", "", "doesn't say when it is open", "rrule and duration"),
        ("name: w, starts: 2026-12-12T09:00", "", "doesn't say when it is open", "starts and ends"),
        ("name: w, starts: 2026-12-12T09:00, ends: 2026-12-12T09:00", "", "ends before it starts", "Swap"),
        ("name: w, starts: soon, ends: 2026-12-12T09:00", ".starts", "is no date and time", "2026-12-27T09:00"),
        ("name: w, starts: 2026-12-12T09:00+01:00, ends: 2026-12-13T09:00", ".starts", "offset of its own", "zone"),
        (
            "name: w, zone: Europe/Berlin, starts: 2026-03-29T02:30, ends: 2026-03-29T09:00",
            ".starts",
            "doesn't exist in Europe/Berlin",
            "a time that exists",
        ),
        ("name: w, rrule: FREQ=DAILY, ends: 2026-12-12T09:00", "", "has no `ends`", "UNTIL"),
        ("name: w, starts: 2026-12-12, ends: 2026-12-13, duration: 1h", "", "has no duration", "Leave"),
        ("name: w, rrule: FREQ=DAILY, duration: 40d", ".duration", "", ""),
        ("name: w, rule: FREQ=DAILY", ".rule", "no such key", '"rrule"'),
    ],
)
def test_a_window_that_cant_be_used_is_refused_at_its_key(
    tmp_path: Path, window: str, key: str, cause: str, remedy: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, window)
    found = next(p for p in caught.value.problems if p.path == f"policy.prod.windows[0]{key}")
    assert cause in found.cause
    assert remedy in found.remedy
    assert found.remedy
    assert found.line


def test_two_windows_of_one_name_are_refused(tmp_path: Path) -> None:
    found = problem(tmp_path, WEEKDAYS, WEEKDAYS)
    assert (found.path, found.cause) == ("policy.prod.windows", "two windows are called weekdays")


def test_incidents_are_told_in_the_release_channel_unless_they_have_one_of_their_own(tmp_path: Path) -> None:
    slack = loaded(tmp_path, WEEKDAYS).connections.slack
    assert (slack.channel, slack.incidents) == ("C0123456789", "C0123456789")
    file = tmp_path / "forge.yaml"
    file.write_text(
        EXAMPLE.replace("  team: T0123456789", "  team: T0123456789\n  incident_channel: C0INCIDENTS", 1),
        encoding="utf-8",
    )
    assert load(file, {"FORGE_DATA_DIR": str(tmp_path)}).connections.slack.incidents == "C0INCIDENTS"
