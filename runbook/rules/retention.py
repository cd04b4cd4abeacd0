"""Which backups are kept and which go. Runbook: Backup Policy, "Retention". Pure; decided by the ledger's completion times, never by names.

It must never let go of the last backup that can be restored, whatever the clock says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runbook.backups import BackupKind, BackupRecord, BackupState, WalSegment
from runbook.rules.wal import SEGMENT_BYTES, first_needed, is_segment
from runbook.wording import duration


@dataclass(frozen=True, slots=True)
class Due:
    """One backup with the reason why it goes or stays."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Retention:
    """What one pass removes and what it leaves. leftovers: of backups that failed. before: WAL whose names come before this one goes, on this
    timeline and those before it; empty: none does. segments: those that are on record."""

    dropped: tuple[Due, ...] = ()
    leftovers: tuple[Due, ...] = ()
    kept: tuple[Due, ...] = ()
    segments: tuple[WalSegment, ...] = ()
    before: str = ""

    @property
    def timeline(self) -> int:
        return int(self.before[:8], 16) if self.before else 0

    def told(self) -> Mapping[str, object]:
        """The dry run as the audit log keeps it."""
        return {
            "delete": {each.id: each.why for each in (*self.dropped, *self.leftovers)},
            "keep": {each.id: each.why for each in self.kept},
            "wal_segments": len(self.segments),
            "wal_before": self.before,
        }


def plan_retention(
    records: Sequence[BackupRecord], segments: Sequence[WalSegment], now: datetime, keep_s: float
) -> Retention:
    """records: all of one service and environment. keep_s: the policy's seconds since a backup's completion.

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
    before = _first_needed(tuple(r for r in records if r.id in stays), segments, begins)
    gone = tuple(s for s in segments if before and is_segment(s.name) and s.name < before)
    return Retention(tuple(dropped), _leftovers(records), tuple(kept), gone, before if gone else "")


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


def _first_needed(kept: Sequence[BackupRecord], segments: Sequence[WalSegment], begins: datetime) -> str:
    """Name of the first segment that must stay; empty: all must. Without any base backup nothing can be replayed, and age decides."""
    bases = [record for record in kept if record.kind is BackupKind.BASE]
    if any(not record.manifest or not record.lsn_start for record in bases):
        return ""  # one is being made: nobody knows yet where its WAL begins
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
