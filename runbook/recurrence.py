"""Recurrence rules of RFC 5545 in local time: which instances there are, and what is refused of a rule. Pure.

Instances are expanded without a zone and then placed in one, as a calendar shows them. One whose local time doesn't exist on its day is
left out (RFC 5545, 3.3.10); one that exists twice is the first (3.3.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
MOST_A_DAY = 24
"""Instances. More is no window any more, and costs time with each look."""

_PARTS = frozenset(
    {
        "FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYHOUR", "BYMINUTE",
        "BYSECOND", "BYSETPOS", "WKST",
    }
)  # fmt: skip
_PART = re.compile(r"([A-Z]+)=([A-Z0-9,+-]+)")
_WEEKDAY = re.compile(r"([+-]?[1-9]\d?)?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?\d{1,4}")
_RANGES: Mapping[str, tuple[int, int]] = {
    "BYHOUR": (0, 23), "BYMINUTE": (0, 59), "BYSECOND": (0, 59), "BYMONTH": (1, 12), "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366), "BYWEEKNO": (-53, 53), "BYSETPOS": (-366, 366),
}  # fmt: skip
_EXAMPLE = "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH;BYHOUR=9"


class BadRule(ValueError):
    """Why a rule can't be used, and what to write instead."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.cause, self.remedy = cause, remedy


def check_rule(rule: str, starts: str = "") -> None:
    """Raises `BadRule`. starts: ISO local date-time from which the rule counts (its DTSTART); some rules mean nothing without it."""
    parts = _parts(rule)
    frequency = parts.get("FREQ")
    if frequency not in FREQUENCIES:
        cause = "a rule needs FREQ" if frequency is None else f"FREQ={frequency} is no frequency of windows"
        raise BadRule(cause, f"Write FREQ as one of {', '.join(FREQUENCIES)}, such as {_EXAMPLE}")
    for name, value in parts.items():
        _check_values(name, value)
    _check_a_day(parts)
    if starts:
        local_time(starts)
    else:
        _check_without_start(parts)
    try:
        first = next(instances(rule, starts, datetime(2024, 1, 1)), None)  # noqa: DTZ001 - local time, placed in a zone later
    except (ValueError, TypeError) as error:
        raise BadRule(f"{rule} can't be understood: {error}", f"Write it like {_EXAMPLE}") from None
    if first is None:
        raise BadRule(f"{rule} never comes about", "Look at its months and days: they never meet")


def _parts(rule: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for text in rule.removeprefix("RRULE:").split(";"):
        match = _PART.fullmatch(text)
        if match is None:
            raise BadRule(f"“{text}” is no part of a rule", f"Write parts like {_EXAMPLE}, without spaces")
        name, value = match.groups()
        if name not in _PARTS:
            raise BadRule(f"{name} is nothing that a rule may hold", f"There are {', '.join(sorted(_PARTS))}")
        if name in parts:
            raise BadRule(f"{name} stands twice", f"Write several values behind one {name}, with commas")
        parts[name] = value
    return parts


def _check_values(name: str, value: str) -> None:
    values = value.split(",")
    if name == "BYDAY":
        for one in values:
            if not _WEEKDAY.fullmatch(one):
                raise BadRule(f"BYDAY={one} is no day", "Days are MO, TU, WE, TH, FR, SA and SU")
    if name in _RANGES:
        low, high = _RANGES[name]
        for one in values:
            if not _NUMBER.fullmatch(one) or not low <= int(one) <= high or (low < 0 and int(one) == 0):
                raise BadRule(f"{name}={one} is out of range", f"{name} takes numbers from {low} to {high}")
    if name in ("INTERVAL", "COUNT") and not (value.isdecimal() and 0 < int(value) < 10_000):
        raise BadRule(f"{name}={value} is no number", f"{name} takes a number from 1 on")
    if name == "UNTIL":
        _until(value)


def _check_a_day(parts: Mapping[str, str]) -> None:
    instances_a_day = 1
    for name in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        instances_a_day *= len(set(parts.get(name, "0").split(",")))
    if instances_a_day > MOST_A_DAY:
        cause = f"the rule comes about {instances_a_day} times a day"
        raise BadRule(cause, f"At most {MOST_A_DAY} times; make one window longer by its duration")


def _check_without_start(parts: Mapping[str, str]) -> None:
    """What DTSTART would otherwise say: a rule on its own names its days, and counts nothing."""
    if parts.get("INTERVAL", "1") != "1" or "COUNT" in parts:
        name = "COUNT" if "COUNT" in parts else "INTERVAL"
        raise BadRule(f"{name} counts from a beginning", "Say from when: starts: 2026-01-05T09:00")
    days = {"BYDAY", "BYMONTHDAY", "BYYEARDAY"} & parts.keys()
    if parts["FREQ"] != "DAILY" and not days:
        remedy = "Add BYDAY, such as BYDAY=MO,TU" if parts["FREQ"] == "WEEKLY" else "Add BYMONTHDAY or BYDAY"
        raise BadRule(f"FREQ={parts['FREQ']} doesn't say on which days", f"{remedy}, or say from when by starts")


def instances(rule: str, starts: str, since: datetime) -> Iterator[datetime]:
    """Naive local times in order, from at least `since` (naive local) on. Raises ValueError for a rule that `check_rule` refuses.

    Without `starts` it is expanded from the beginning of the year before: it counts nothing, so that no earlier instance matters.
    """
    parts = _parts(rule)
    until = parts.pop("UNTIL", "")
    kept = ";".join(f"{name}={value}" for name, value in parts.items())
    begin = local_time(starts) if starts else datetime(since.year - 1, 1, 1)  # noqa: DTZ001 - local time
    ends = _until(until) if until else None
    for at in rrulestr(kept, dtstart=begin):
        if isinstance(ends, datetime) and ends.tzinfo is None and at > ends:
            return
        if at >= since:
            yield at


def ends_of(rule: str, zone: ZoneInfo) -> datetime | None:
    """The moment behind which the rule has no instance, aware; None without UNTIL."""
    value = _parts(rule).get("UNTIL", "")
    found = _until(value) if value else None
    if found is None or found.tzinfo is not None:
        return found
    return found.replace(tzinfo=zone)


def _until(value: str) -> datetime:
    """Naive where it is local; a day alone counts whole."""
    for form in ("%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S", "%Y%m%d"):
        try:
            found = datetime.strptime(value, form)  # noqa: DTZ007 - RFC 5545: without Z it is local time
        except ValueError:
            continue
        if form.endswith("Z"):
            return found.replace(tzinfo=UTC)
        return datetime.combine(found, time.max) if form == "%Y%m%d" else found
    raise BadRule(f"UNTIL={value} is no moment", "Write UNTIL=20261231, or UNTIL=20261231T170000Z")


def local_time(text: str) -> datetime:
    """A naive local time from ISO 8601 without an offset; a date alone is its midnight. Raises `BadRule`."""
    remedy = "Write 2026-12-27T09:00: local to the window's zone, without an offset"
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadRule(f"{text} is no date and time", remedy) from None
    if found.tzinfo is not None:
        raise BadRule(f"{text} has an offset of its own", remedy)
    return found


def exists(local: datetime, zone: ZoneInfo) -> bool:
    """False for a time that a clock on the wall never shows, such as 02:30 where clocks go from 02:00 to 03:00."""
    return placed(local, zone).astimezone(zone).replace(tzinfo=None) == local


def placed(local: datetime, zone: ZoneInfo) -> datetime:
    """Aware UTC. A time that exists twice is the first; one that doesn't is counted with the offset before the gap (RFC 5545, 3.3.5)."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def end_of(local: datetime, duration_s: float, zone: ZoneInfo) -> datetime:
    """When something that began then is over, aware UTC. Whole days are days of the calendar, everything else is exact (RFC 5545, 3.3.6)."""
    if duration_s % 86_400 == 0:
        return placed(local + timedelta(seconds=duration_s), zone)
    return placed(local, zone) + timedelta(seconds=duration_s)


def day_of(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()
