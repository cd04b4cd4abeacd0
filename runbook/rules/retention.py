"""Which backups are kept and which go. Runbook: Backup Policy, "Retention". Pure; decided by the ledger's completion times, never by names.

It must never let go of the last backup that can be restored, whatever the clock says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runbook.backups import BackupKind, BackupRecord, BackupState, WalSegment
from runbook.database_ports import WalFile
from runbook.rules.wal import SEGMENT_BYTES, first_needed, is_segment
from runbook.wording import duration

DOUBLE_S = 86_400.0
"""So long a stored segment may wait for its record: it comes within seconds, or never."""


@dataclass(frozen=True, slots=True)
class Due:
    """One backup with the reason why it goes or stays."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Retention:
    """What one pass removes and what it leaves. leftovers: of backups that failed. segments: archived WAL that is on record and goes.
    before: system identifier -> the first segment of that server that stays. strays: stored WAL that isn't on record, and goes."""

    dropped: tuple[Due, ...] = ()
    leftovers: tuple[Due, ...] = ()
    kept: tuple[Due, ...] = ()
    segments: tuple[WalSegment, ...] = ()
    before: Mapping[str, str] = field(default_factory=dict)
    strays: tuple[WalFile, ...] = ()

    def told(self) -> Mapping[str, object]:
        """The dry run as the audit log keeps it."""
        return {
            "delete": {each.id: each.why for each in (*self.dropped, *self.leftovers)},
            "keep": {each.id: each.why for each in self.kept},
            "wal_segments": len(self.segments),
            "wal_before": dict(self.before),
            "wal_not_on_record": len(self.strays),
        }


def plan_retention(
    records: Sequence[BackupRecord],
    segments: Sequence[WalSegment],
    now: datetime,
    keep_s: float,
    stored: Sequence[WalFile] = (),
) -> Retention:
    """records: all of one service and environment. keep_s: the policy's seconds since a backup's completion. stored: archived WAL as the
    repository has it, listed before `segments` were asked for.

    Never goes: the newest restorable and the newest verified one of each kind, what is held, read or still being made, and a base backup that
    some moment within the retention can only be recovered from.
    """
    kept, dropped = list[Due](), list[Due]()
    begins = _back(now, keep_s)
    needed = _needed(records, now, begins)
    for record in records:
        if record.deleted_at is not None or record.state in (BackupState.FAILED, BackupState.DELETED):
            continue
        why = _why_kept(record, begins, needed)
        if why:
            kept.append(Due(record.id, why))
        else:
            dropped.append(Due(record.id, _age(record, now, keep_s)))
    stays = {each.id for each in kept}
    gone, before = _wal(tuple(r for r in records if r.id in stays), segments, begins)
    strays = stray_wal(stored, segments, now, keep_s)
    return Retention(tuple(dropped), _leftovers(records), tuple(kept), gone, before, strays)


def may_go(record: BackupRecord | None) -> bool:
    """Asked once more at the moment of the deletion: somebody may have begun to read it, or held it, since the plan was made."""
    return record is not None and record.deleted_at is None and not record.busy and not record.held_by


def _back(now: datetime, seconds: float) -> datetime:
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return datetime.min.replace(tzinfo=now.tzinfo)


def _needed(records: Sequence[BackupRecord], now: datetime, begins: datetime) -> Mapping[str, str]:
    """What must stay whatever its age, with the reason. What bears a completion time to come (the clock was ahead then) shadows nothing:
    the newest of those that are really over stays beside it."""
    needed: dict[str, str] = {}
    published = [record for record in records if _is_published(record)]
    for kind in BackupKind:
        mine = [record for record in published if record.kind is kind]
        restorable = [record for record in mine if record.restorable] or mine
        verified = [record for record in mine if record.state is BackupState.VERIFIED]
        for found in (_newest(verified), _newest(_over(verified, now))):
            if found is not None:
                needed[found.id] = f"the newest verified {kind.value} backup"
        for found in (_newest(restorable), _newest(_over(restorable, now))):
            if found is not None:
                needed[found.id] = f"the newest restorable {kind.value} backup"
    bases = [record for record in published if record.kind is BackupKind.BASE and record.restorable]
    first = _newest(_over(bases, begins))
    if first is not None:
        needed.setdefault(first.id, "recovery to the beginning of the retention starts from it")
    return needed


def _why_kept(record: BackupRecord, begins: datetime, needed: Mapping[str, str]) -> str:
    """Empty: it goes."""
    if not _is_published(record):
        return "it is being made"
    if record.held_by:
        return f"held by {record.held_by}" + (f": {record.held_reason}" if record.held_reason else "")
    if record.busy:
        return f"read by {record.busy}"
    if record.id in needed:
        return needed[record.id]
    if record.finished_at is None or record.finished_at >= begins:
        return "younger than the retention"
    return ""


def _is_published(record: BackupRecord) -> bool:
    gone = record.deleted_at is not None or record.state in (BackupState.FAILED, BackupState.DELETED)
    return bool(record.manifest) and not gone


def _newest(records: Iterable[BackupRecord]) -> BackupRecord | None:
    """By completion; what has none can't be judged."""
    dated = [(r.finished_at, r.started_at, r.id, r) for r in records if r.finished_at is not None]
    return max(dated, key=lambda each: each[:3])[3] if dated else None


def _over(records: Iterable[BackupRecord], moment: datetime) -> list[BackupRecord]:
    return [record for record in records if record.finished_at is not None and record.finished_at <= moment]


def _age(record: BackupRecord, now: datetime, keep_s: float) -> str:
    age_s = (now - record.finished_at).total_seconds() if record.finished_at is not None else 0.0
    return f"{duration(age_s)} old; {duration(keep_s)} are kept"


def _leftovers(records: Iterable[BackupRecord]) -> tuple[Due, ...]:
    """What a failed backup may have left in the repository."""
    return tuple(
        Due(record.id, f"failed: {record.failure or 'nobody knows why'}")
        for record in records
        if record.state is BackupState.FAILED and record.deleted_at is None and not record.busy and not record.held_by
    )


# --- WAL ------------------------------------------------------------------------------------------------------------


def stray_wal(
    stored: Iterable[WalFile], segments: Iterable[WalSegment], now: datetime, keep_s: float
) -> tuple[WalFile, ...]:
    """Stored WAL that no record names: a process died between the two. The same segment was stored once more, then, so its double goes after
    a day. What no segment on record has the name of may be all that there is of it (an older copy of the record was put back): it stays as
    long as backups do. stored: listed before `segments` were asked for."""
    known, named = set[tuple[str, str]](), set[tuple[str, str]]()
    for segment in segments:
        known.add((segment.system_identifier, segment.file.key))
        named.add((segment.system_identifier, segment.name))
    doubles_before, all_before = _back(now, DOUBLE_S), _back(now, max(keep_s, DOUBLE_S))
    return tuple(
        file
        for file in stored
        if (file.system_identifier, file.key) not in known
        if file.stored_at < all_before
        or (file.stored_at < doubles_before and (file.system_identifier, file.key.rpartition("-")[0]) in named)
    )


def _wal(
    kept: Sequence[BackupRecord], segments: Sequence[WalSegment], begins: datetime
) -> tuple[tuple[WalSegment, ...], Mapping[str, str]]:
    """Segments that go, and the first of each server that stays: two servers' segments have the same names."""
    bases = [record for record in kept if record.kind is BackupKind.BASE]
    if any(not record.manifest or not record.lsn_start or not record.system_identifier for record in bases):
        return (), {}  # one is being made: nobody knows yet where its WAL begins
    by_system: dict[str, list[WalSegment]] = {}
    for segment in segments:
        by_system.setdefault(segment.system_identifier, []).append(segment)
    gone: list[WalSegment] = []
    before: dict[str, str] = {}
    for system, mine in sorted(by_system.items()):
        first = _first_needed([base for base in bases if base.system_identifier == system], mine, begins)
        found = [segment for segment in mine if first and is_segment(segment.name) and segment.name < first]
        if found:
            gone += found
            before[system] = first
    return tuple(gone), before


def _first_needed(bases: Sequence[BackupRecord], segments: Sequence[WalSegment], begins: datetime) -> str:
    """Name of the first segment of one server that must stay; empty: all must. Without any base backup nothing can be replayed, and age
    decides."""
    size = _segment_bytes(segments)
    if bases:
        return min(first_needed(record, size) for record in bases)
    young = [segment.name for segment in segments if is_segment(segment.name) and segment.ended_at >= begins]
    old = [segment.name for segment in segments if is_segment(segment.name) and segment.ended_at < begins]
    if not old:
        return ""
    return min(young) if young else f"{int(max(old), 16) + 1:024X}"


def _segment_bytes(segments: Iterable[WalSegment]) -> int:
    """Segments are all of one size, a power of two from 1 MiB to 1 GiB; with several sizes on record the largest deletes the least."""
    sizes = {segment.file.plain.bytes for segment in segments if is_segment(segment.name)}
    real = {size for size in sizes if 1 << 20 <= size <= 1 << 30 and size & (size - 1) == 0}
    return max(real) if real else SEGMENT_BYTES
