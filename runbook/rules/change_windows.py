"""Change windows: production is changed while one is open, and else not. Runbook: Environment Topology ("Strict change windows"), Production
Deployment 1. Pure; what isn't configured is unknown, and unknown is not yes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runbook.moments import told
from runbook.policy import ChangeWindow
from runbook.recurrence import BadRule, end_of, ends_of, exists, instances, local_time, placed
from runbook.verdicts import Evidence, Verdict

GATE = "change window"
FAR = timedelta(days=7)
"""Windows that follow each other without a gap are told as one; beyond this it doesn't matter when it ends."""

AHEAD = timedelta(days=10 * 366)
ALWAYS = "{name: always, rrule: FREQ=DAILY, duration: 1d}"


@dataclass(frozen=True, slots=True)
class Opening:
    """One time that a window is open: from `starts` up to, but without, `ends`; aware UTC."""

    window: ChangeWindow
    starts: datetime
    ends: datetime


def check_change_window(windows: Sequence[ChangeWindow], now: datetime) -> Verdict:
    """PASS inside, with the window's name and end; FAIL outside, with when the next opens; NO_DATA where none is configured."""
    if not windows:
        remedy = f"Write policy.prod.windows in forge.yaml; {ALWAYS} means any time"
        return Verdict.no_data(GATE, "window.unconfigured", "no change window is configured", remedy=remedy)
    try:
        now_open = open_now(windows, now)
        following = None if now_open is not None else next_opening(windows, now)
    except (BadRule, ZoneInfoNotFoundError, ValueError) as error:
        remedy = "Correct policy.prod.windows; `forge config validate` says what is wrong"
        return Verdict.no_data(GATE, "window.unusable", f"a change window can't be used: {error}", remedy=remedy)
    if now_open is not None:
        return _inside(now_open, open_until(windows, now_open, now), now)
    return _outside(windows, following, now)


def _inside(opening: Opening, until: datetime | None, now: datetime) -> Verdict:
    name, zone = opening.window.name, opening.window.zone
    end = "for more than a week from now" if until is None else f"until {told(until, zone)}"
    facts = [Evidence(name="window", value=name, source=opening.window.rrule or opening.window.starts, at=now)]
    if until is not None:
        facts.append(Evidence(name="open until", value=until.isoformat()))
    return Verdict.passed(GATE, f"“{name}” is open {end}", *facts)


def _outside(windows: Sequence[ChangeWindow], following: Opening | None, now: datetime) -> Verdict:
    names = ", ".join(window.name for window in windows)
    fact = Evidence(name="windows", value=names, at=now)
    if following is None:
        return Verdict.failed(
            GATE, "window.none_left", f"no change window opens any more ({names})", fact,
            remedy="Configure the next one in policy.prod.windows",
        )  # fmt: skip
    opens = told(following.starts, following.window.zone)
    return Verdict.failed(
        GATE,
        "window.closed",
        f"no change window is open; “{following.window.name}” opens {opens}",
        fact,
        Evidence(name="opens", value=following.starts.isoformat(), source=following.window.rrule or following.window.starts),
        remedy=f"Wait until then, or ask for an override: `/forge override <run> \"{GATE}\"`",
    )  # fmt: skip


# --- when windows are open --------------------------------------------------------------------------------------------


def open_now(windows: Sequence[ChangeWindow], now: datetime) -> Opening | None:
    """The opening that lasts longest of those under way."""
    under_way = [o for window in windows for o in _under_way(window, now)]
    return max(under_way, key=lambda opening: opening.ends, default=None)


def open_until(windows: Sequence[ChangeWindow], opening: Opening, now: datetime) -> datetime | None:
    """When nothing is open any more, openings that join each other taken together; None when that is more than a week away."""
    end = opening.ends
    while end - now <= FAR:
        further = open_now(windows, end)
        if further is None or further.ends <= end:
            return end
        end = further.ends
    return None


def next_opening(windows: Sequence[ChangeWindow], now: datetime) -> Opening | None:
    """The first that begins after now; None when none does within ten years."""
    following = [o for window in windows if (o := _next(window, now)) is not None]
    return min(following, key=lambda opening: opening.starts, default=None)


def _under_way(window: ChangeWindow, now: datetime) -> Iterator[Opening]:
    for opening in _openings(window, now):
        if opening.starts > now:
            return
        if now < opening.ends:
            yield opening


def _next(window: ChangeWindow, now: datetime) -> Opening | None:
    for opening in _openings(window, now):
        if opening.starts > now + AHEAD:
            return None
        if opening.starts > now:
            return opening
    return None


def _openings(window: ChangeWindow, now: datetime) -> Iterator[Opening]:
    """In order, from those that may still be under way on."""
    zone = ZoneInfo(window.zone)
    if not window.rrule:
        starts, ends = placed(local_time(window.starts), zone), placed(local_time(window.ends), zone)
        yield Opening(window, starts, ends)
        return
    since = (now - timedelta(seconds=window.duration_s) - timedelta(days=2)).astimezone(zone).replace(tzinfo=None)
    last = ends_of(window.rrule, zone)
    for local in instances(window.rrule, window.starts, since):
        starts = placed(local, zone)
        if last is not None and starts > last:
            return
        if exists(local, zone):
            yield Opening(window, starts, end_of(local, window.duration_s, zone))
