"""Within which moments a database can be recovered: unbroken WAL after a base backup. Runbook: Backup Policy, "WAL archiving".

A WAL segment's name is its timeline, its log and its number in it, 8 hex digits each (PostgreSQL: "WAL Internals"). Age says nothing here:
an idle database writes no WAL and has no gap for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runbook.backups import BackupKind, BackupRecord, RecoveryWindow, WalSegment

SEGMENT_BYTES = 16 * 1024 * 1024
"""A segment, where the server wasn't initialised with another size."""
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")


@dataclass(frozen=True, slots=True)
class Chain:
    """WAL that follows a base backup without a gap. segments: in order of replay. history: files of the timelines that it enters.

    timeline: where it ends. missing: the name of the first segment that isn't there. gap: whether later ones are, so that it is lost
    rather than not written yet.
    """

    segments: tuple[WalSegment, ...]
    history: tuple[WalSegment, ...]
    timeline: int
    missing: str
    gap: bool

    @property
    def until(self) -> datetime | None:
        """Up to which moment everything is in it; None: it is empty."""
        return max((segment.ended_at for segment in self.segments), default=None)


def lsn_number(lsn: str) -> int:
    """`16/B374D848` as the position that it is. Raises ValueError."""
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def segment_name(timeline: int, number: int, size: int = SEGMENT_BYTES) -> str:
    """The number-th segment of all, counted from position 0/0."""
    per_log = (1 << 32) // size
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"


def segment_number(name: str, size: int = SEGMENT_BYTES) -> int:
    return int(name[8:16], 16) * ((1 << 32) // size) + int(name[16:24], 16)


def is_segment(name: str) -> bool:
    """A whole segment: no `.history`, `.partial` or `.backup` file."""
    return _SEGMENT.fullmatch(name) is not None


def history_timeline(name: str) -> int | None:
    """The timeline that a `.history` file tells the beginning of; None: it is none."""
    found = _HISTORY.fullmatch(name)
    return int(found[1], 16) if found else None


def wal_chain(timeline: int, lsn_end: str, segments: Iterable[WalSegment]) -> Chain:
    """What can be replayed onto a base backup that is consistent at `lsn_end` on `timeline`; what it needs before that is in it.

    Follows a server's promotion to a higher timeline where that one's history file is archived: its first segment repeats the one in which
    the timeline before it ended. segments: of one system, in any order, doubles allowed.
    """
    stored = tuple(segments)
    size = next((segment.file.plain.bytes for segment in stored if is_segment(segment.name)), SEGMENT_BYTES)
    by_name = {segment.name: segment for segment in stored}
    number = last = (lsn_number(lsn_end) - 1) // size
    turns = _turns(stored, timeline, last, size)
    chain: list[WalSegment] = []
    history: list[WalSegment] = []
    while True:
        if number in turns:
            timeline = turns[number]
            history.append(by_name[f"{timeline:08X}.history"])
        name = segment_name(timeline, number, size)
        found = by_name.get(name)
        if found is None:
            break
        chain.append(found)
        number += 1
    gap = any(_follows(segment, timeline, number, size) for segment in stored)
    return Chain(tuple(chain), tuple(history), timeline, name, gap)


def recovery_window(
    bases: Iterable[BackupRecord], segments: Iterable[WalSegment], seen_at: datetime | None = None
) -> RecoveryWindow | None:
    """From the oldest base backup after which the WAL is unbroken up to now; None where none can be recovered from.

    bases: records of any kind and state; only restorable base backups count. seen_at: when the receiver last saw that nothing was written
    after the newest archived segment. A gap moves the beginning to the first base backup behind it; where there is none yet, the window is
    the newest one before the gap and ends there, with the missing segment's name. Of a server that was replaced the WAL ends without one:
    as soon as there is a window of the server that took its place, that counts alone.
    """
    by_system = _by_system(segments)
    windows = [
        (base.system_identifier, window)
        for base in sorted(bases, key=lambda record: (record.finished_at or record.started_at, record.id))
        if base.kind is BackupKind.BASE and base.restorable
        if (window := base_window(base, by_system.get(base.system_identifier, ()), seen_at)) is not None
    ]
    if not windows:
        return None
    current, newest = windows[-1]
    return next((window for system, window in windows if system == current and not window.gap), newest)


def base_window(
    base: BackupRecord, segments: Sequence[WalSegment], seen_at: datetime | None = None
) -> RecoveryWindow | None:
    """Of one base backup, with the segments of its system; None where no WAL after it is archived."""
    if base.finished_at is None or not base.lsn_end:
        return None
    chain = wal_chain(base.timeline, base.lsn_end, segments)
    if chain.until is None:
        return None
    idle_at = None if chain.gap else seen_at
    until = max(chain.until, base.finished_at)
    return RecoveryWindow(
        since=base.finished_at, until=until if idle_at is None else max(until, idle_at), base=base.id,
        gap=chain.missing if chain.gap else "", seen_at=idle_at,
    )  # fmt: skip


def base_for(
    bases: Iterable[BackupRecord], segments: Iterable[WalSegment], until: datetime, seen_at: datetime | None = None
) -> BackupRecord | None:
    """The newest restorable base backup from which `until` can be reached: the least WAL to replay. None: no such moment."""
    by_system = _by_system(segments)
    reaching = [
        base
        for base in bases
        if base.kind is BackupKind.BASE and base.restorable and base.finished_at is not None
        if base.finished_at <= until
        and (window := base_window(base, by_system.get(base.system_identifier, ()), seen_at)) is not None
        and until <= window.until
    ]
    return max(reaching, key=lambda record: (record.finished_at or record.started_at, record.id), default=None)


def newest_base(
    bases: Iterable[BackupRecord], segments: Iterable[WalSegment], now: datetime
) -> tuple[BackupRecord, datetime | None] | None:
    """The newest restorable base backup, and up to which moment the WAL behind it is whole (never one to come; None: none is archived). None:
    there is no such backup."""
    usable = [
        base for base in bases if base.kind is BackupKind.BASE and base.restorable and base.finished_at is not None
    ]
    over = [base for base in usable if base.finished_at is not None and base.finished_at <= now]
    newest = max(over or usable, key=lambda base: (base.finished_at or base.started_at, base.id), default=None)
    if newest is None:
        return None
    window = base_window(newest, _by_system(segments).get(newest.system_identifier, ()))
    return newest, min(window.until, now) if window is not None else None


def first_needed(base: BackupRecord, size: int = SEGMENT_BYTES) -> str:
    """The first segment that a base backup needs: older ones of its timeline may go once no older base backup is kept."""
    return segment_name(base.timeline, lsn_number(base.lsn_start) // size, size)


def _turns(segments: Sequence[WalSegment], timeline: int, after: int, size: int) -> Mapping[int, int]:
    """Number of a segment -> the timeline that begins in it: promotions behind the base backup alone."""
    turns: dict[int, int] = {}
    for segment in segments:
        later = history_timeline(segment.name)
        if later is None or later <= timeline:
            continue
        first = min((segment_number(s.name, size) for s in segments if _on(s, later)), default=None)
        if first is not None and first >= after:
            turns[first] = max(later, turns.get(first, 0))
    return turns


def _on(segment: WalSegment, timeline: int) -> bool:
    return is_segment(segment.name) and int(segment.name[:8], 16) == timeline


def _follows(segment: WalSegment, timeline: int, number: int, size: int) -> bool:
    return (
        is_segment(segment.name)
        and int(segment.name[:8], 16) >= timeline
        and segment_number(segment.name, size) > number
    )


def _by_system(segments: Iterable[WalSegment]) -> dict[str, list[WalSegment]]:
    found: dict[str, list[WalSegment]] = {}
    for segment in segments:
        found.setdefault(segment.system_identifier, []).append(segment)
    return found
