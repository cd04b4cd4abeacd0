"""Moments as people write and read them: what `--until` means at a given moment, and how a moment is told. Pure; the time comes in.

What has no time zone is UTC: a bot has people in several zones, and its own is nobody's. A day alone ends when it is over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic_core import PydanticCustomError

from runbook.durations import parse_duration

LONGEST = timedelta(days=366)
FORMS = "2026-12-27 (until that day is over), 2026-12-27T18:00, 2026-12-27T18:00+01:00, 18:00 (UTC), 3h or 2d"

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?:\s*(?:utc|z))?", re.IGNORECASE)
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:\s*(?:utc|z))?", re.IGNORECASE)
_DAY_AND_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ]\s*(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(utc|z|[+-]\d{2}(?::?\d{2})?)?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Unclear:
    """Why a text is no moment to come."""

    code: str
    cause: str
    remedy: str


def parse_until(text: str, now: datetime) -> datetime | Unclear:
    """The moment meant, aware UTC, later than now and at most a year away.

    A date: its end. `18:00`: the next time that it is 18:00 UTC. A date with a time: that very moment, in UTC unless a zone stands behind
    it. A duration: from now on.
    """
    found = _moment(" ".join(text.split()), now)
    if isinstance(found, Unclear):
        return found
    if found <= now:
        return Unclear("until.past", f"{told(found)} is over already: it is {told(now)} now.", f"Write {FORMS}.")
    if found - now > LONGEST:
        return Unclear("until.far", f"{told(found)} is more than a year away.", "Leave --until out: it then lasts until it is lifted.")  # fmt: skip
    return found


PAST_FORMS = "2026-12-27T17:55, 2026-12-27T17:55:30+01:00, 17:55 (UTC, the last time) or 10m (so long ago)"


def parse_past(text: str, now: datetime) -> datetime | Unclear:
    """The moment meant, aware UTC, not later than now. `17:55`: the last time that it was 17:55 UTC. A duration, with or without `ago`: so
    long before now. A day alone is refused: nobody means its midnight.
    """
    shown = " ".join(text.split())
    found = _past(shown, now)
    if isinstance(found, Unclear):
        return found
    if found > now:
        return Unclear("at.future", f"{told(found)} is still to come: it is {told(now)}.", f"Write {PAST_FORMS}.")
    return found


def _past(text: str, now: datetime) -> datetime | Unclear:
    unclear = Unclear("at.unclear", f"“{text}” is no moment.", f"Write {PAST_FORMS}.")
    try:
        if match := _CLOCK.fullmatch(text):
            at = now.astimezone(UTC).replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
            return at if at <= now else at - timedelta(days=1)
        if match := _DAY_AND_TIME.fullmatch(text):
            return _day_and_time(match)
        return now - timedelta(seconds=parse_duration(text.removesuffix(" ago")))
    except (PydanticCustomError, ValueError, OverflowError):
        return unclear


def _moment(text: str, now: datetime) -> datetime | Unclear:
    unclear = Unclear("until.unclear", f"“{text}” is no time.", f"Write {FORMS}.")
    try:
        if match := _DAY.fullmatch(text):
            day = date(int(match[1]), int(match[2]), int(match[3]))
            return datetime.combine(day, time(), UTC) + timedelta(days=1)
        if match := _CLOCK.fullmatch(text):
            at = now.astimezone(UTC).replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
            return at if at > now else at + timedelta(days=1)
        if match := _DAY_AND_TIME.fullmatch(text):
            return _day_and_time(match)
        return now + timedelta(seconds=parse_duration(text))
    except PydanticCustomError as error:
        return Unclear("until.far", "That is more than a year away.", "Leave --until out.") if "year" in error.message() else unclear  # fmt: skip
    except (ValueError, OverflowError):
        return unclear


def _day_and_time(match: re.Match[str]) -> datetime:
    """Raises ValueError for a day or an offset that doesn't exist, OverflowError at the calendar's ends."""
    day, hour, minute, second, zone = match.groups()
    offset = "+00:00" if zone is None or zone.casefold() in ("utc", "z") else zone
    return datetime.fromisoformat(f"{day}T{int(hour):02d}:{minute}:{second or '00'}{offset}").astimezone(UTC)


def told(at: datetime, zone: str = "UTC") -> str:
    """`Fri 27 Nov 2026 09:00 CET (08:00 UTC)`; the second part where the zone isn't UTC, with its day where that differs."""
    utc = at.astimezone(UTC)
    if zone in ("UTC", "Etc/UTC"):
        return f"{utc:%a %d %b %Y %H:%M} UTC"
    local = at.astimezone(ZoneInfo(zone))
    other = f"{utc:%H:%M}" if utc.date() == local.date() else f"{utc:%a %d %b %H:%M}"
    return f"{local:%a %d %b %Y %H:%M} {local.tzname()} ({other} UTC)"
