"""When a schedule is due: occurrences of an RFC 5545 rule in local time. Pure.

Unlike a change window, a backup whose local time doesn't exist on its day isn't left out: it is counted with the offset before the gap, so
that no night is without one. A time that exists twice is the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from runbook.recurrence import ends_of, instances, placed

_MARGIN = timedelta(days=2)
"""Local times and UTC differ by less."""


def newest_due(rule: str, zone: ZoneInfo, after: datetime, now: datetime) -> tuple[datetime, int] | None:
    """The newest occurrence later than `after` and not later than `now`, with how many there were. None: nothing is due."""
    found, count = None, 0
    for at in _from(rule, zone, after):
        if at > now:
            break
        found, count = at, count + 1
    return None if found is None else (found, count)


def next_occurrence(rule: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first one later than `after`, aware UTC; None: never again."""
    return next(iter(_from(rule, zone, after)), None)


def _from(rule: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    since = after.astimezone(UTC).replace(tzinfo=None) - _MARGIN
    ends = ends_of(rule, zone)
    for local in instances(rule, "", since):
        at = placed(local, zone)
        if ends is not None and at > ends:
            return
        if at > after:
            yield at
