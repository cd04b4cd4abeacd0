"""Backups, drills and archived WAL between their rows and the domain's values. Pure, given the ledger."""

from __future__ import annotations

from engine.ports import Ledger
from engine.records import BackupRow, DrillRow, WalRow
from runbook.backups import (
    BackupKind,
    BackupRecord,
    BackupState,
    DrillRecord,
    RecoveryWindow,
    StoredFile,
    WalSegment,
)
from runbook.plan import from_json, to_json
from runbook.rules.wal import recovery_window
from runbook.values import Environment


def record_of(row: BackupRow) -> BackupRecord:
    return BackupRecord(
        id=row.id, kind=BackupKind(row.kind), service=row.service, environment=row.environment,
        state=BackupState(row.state), run=row.run, operator=row.operator, started_at=row.started_at,
        finished_at=row.finished_at, proven_at=row.proven_at, plain_bytes=row.plain_bytes,
        stored_bytes=row.stored_bytes, sha256=row.sha256, server_version_num=row.server_version_num,
        system_identifier=row.system_identifier, timeline=row.timeline, lsn_start=row.lsn_start, lsn_end=row.lsn_end,
        manifest=row.manifest, held_by=row.held_by, held_reason=row.held_reason, busy=row.busy, failure=row.failure,
        deleted_at=row.deleted_at,
    )  # fmt: skip


def drill_of(row: DrillRow) -> DrillRecord:
    return DrillRecord(
        run=row.run, service=row.service, environment=row.environment, backup=row.backup, kind=BackupKind(row.kind),
        started_at=row.started_at, finished_at=row.finished_at, passed=row.passed, seconds=row.milliseconds / 1000,
        major=row.major, reason=row.reason, until=row.until, signed_off_by=row.signed_off_by,
        signed_off_at=row.signed_off_at, compared=row.compared,
    )  # fmt: skip


def drill_row(drill: DrillRecord) -> DrillRow:
    return DrillRow(
        run=drill.run, service=drill.service, environment=drill.environment, backup=drill.backup,
        kind=drill.kind.value, started_at=drill.started_at, finished_at=drill.finished_at, passed=drill.passed,
        milliseconds=round(drill.seconds * 1000), major=drill.major, reason=drill.reason, until=drill.until,
        signed_off_by=drill.signed_off_by, signed_off_at=drill.signed_off_at,
        compared=drill.compared,
    )  # fmt: skip


def segment_of_row(row: WalRow) -> WalSegment:
    file: StoredFile = from_json(StoredFile, row.file)
    return WalSegment(
        row.service, row.environment, row.system_identifier, row.timeline, row.name, file, row.ended_at
    )  # fmt: skip


def segment_row(segment: WalSegment) -> WalRow:
    return WalRow(
        service=segment.service, environment=segment.environment, system_identifier=segment.system_identifier,
        name=segment.name, timeline=segment.timeline, file=to_json(segment.file), ended_at=segment.ended_at,
    )  # fmt: skip


def backup_rows(ledger: Ledger, service: str, environment: Environment) -> list[BackupRow]:
    """The newest first."""
    rows = ledger.find(BackupRow, service=service, environment=environment.value)
    return sorted(rows, key=lambda row: (row.started_at, row.id), reverse=True)


def drill_rows(ledger: Ledger, service: str, environment: Environment) -> list[DrillRow]:
    """The newest first."""
    rows = ledger.find(DrillRow, service=service, environment=environment.value)
    return sorted(rows, key=lambda row: (row.finished_at, row.run), reverse=True)


def segments_of(ledger: Ledger, service: str, environment: Environment) -> tuple[WalSegment, ...]:
    """In order of timeline and name."""
    rows = ledger.find(WalRow, service=service, environment=environment.value)
    return tuple(segment_of_row(row) for row in sorted(rows, key=lambda row: (row.timeline, row.name)))


def window_of(ledger: Ledger, service: str, environment: Environment) -> RecoveryWindow | None:
    """Of point-in-time recovery; None where there is no base backup with unbroken WAL after it."""
    bases = ledger.find(
        BackupRow, service=service, environment=environment.value, kind=BackupKind.BASE.value, deleted_at=None
    )
    if not bases:
        return None
    return recovery_window([record_of(row) for row in bases], segments_of(ledger, service, environment))
