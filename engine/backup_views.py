"""What people see of backups: a database's list, and what a restore may choose from. Times are aware UTC; sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.backup_rows import backup_rows, drill_rows, window_of
from engine.ports import Ledger
from engine.records import BackupRow
from runbook.backups import RESTORABLE, RecoveryWindow
from runbook.values import Environment

MOST_LISTED = 25
MOST_OFFERED = 50


@dataclass(frozen=True, kw_only=True)
class BackupLine:
    """One backup. kind: a `BackupKind`; state: a `BackupState`. at: when it was finished, or begun where it isn't. drilled_at: when a drill
    of it passed last. failure: why it failed. operator: an `Actor.id` or forge."""

    id: str
    kind: str
    state: str
    at: datetime
    stored_bytes: int
    plain_bytes: int
    restorable: bool
    operator: str = ""
    run: str = ""
    drilled_at: datetime | None = None
    held_by: str = ""
    held_by_name: str = ""
    held_reason: str = ""
    busy: str = ""
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class BackupsView:
    """A database's backups, the newest first. total: how many are kept. window: within which moments it can be recovered.

    drilled_at, drill_passed, drill_seconds, drill_compared, signed_off: of the newest drill; None: there was none. drill_compared: what of it
    was as the source had it, in words.
    """

    service: str
    environment: str
    lines: tuple[BackupLine, ...]
    total: int
    window: RecoveryWindow | None
    now: datetime
    drilled_at: datetime | None = None
    drill_passed: bool = False
    drill_seconds: float = 0.0
    drill_reason: str = ""
    drill_compared: str = ""
    signed_off: bool = False


@dataclass(frozen=True, kw_only=True)
class RestoreChoices:
    """What the dialog of a restore offers: restorable backups, the newest first, and the window of recovery."""

    service: str
    environment: str
    lines: tuple[BackupLine, ...]
    window: RecoveryWindow | None
    now: datetime


def backups_view(ledger: Ledger, now: datetime, service: str, environment: Environment) -> BackupsView:
    """What is kept, and what failed since; what was deleted is in the audit log."""
    rows = [row for row in backup_rows(ledger, service, environment) if row.deleted_at is None]
    drills = drill_rows(ledger, service, environment)
    passed = {drill.backup: drill.finished_at for drill in reversed(drills) if drill.passed}
    newest = drills[0] if drills else None
    return BackupsView(
        service=service, environment=environment.value, now=now, total=len(rows),
        lines=tuple(_line(row, passed.get(row.id)) for row in rows[:MOST_LISTED]),
        window=window_of(ledger, service, environment),
        drilled_at=newest.finished_at if newest is not None else None,
        drill_passed=newest is not None and newest.passed,
        drill_seconds=newest.milliseconds / 1000 if newest is not None else 0.0,
        drill_reason=newest.reason if newest is not None else "",
        drill_compared=newest.compared if newest is not None else "",
        signed_off=newest is not None and bool(newest.signed_off_by),
    )  # fmt: skip


def restore_choices(ledger: Ledger, now: datetime, service: str, environment: Environment) -> RestoreChoices:
    rows = [row for row in backup_rows(ledger, service, environment) if _is_restorable(row)]
    return RestoreChoices(
        service=service, environment=environment.value, now=now, window=window_of(ledger, service, environment),
        lines=tuple(_line(row, None) for row in rows[:MOST_OFFERED]),
    )  # fmt: skip


def _is_restorable(row: BackupRow) -> bool:
    return row.state in RESTORABLE and bool(row.manifest) and row.deleted_at is None


def _line(row: BackupRow, drilled_at: datetime | None) -> BackupLine:
    return BackupLine(
        id=row.id, kind=row.kind, state=row.state, at=row.finished_at or row.started_at, stored_bytes=row.stored_bytes,
        plain_bytes=row.plain_bytes, restorable=_is_restorable(row), operator=row.operator, run=row.run,
        drilled_at=drilled_at, held_by=row.held_by, held_by_name=row.held_by_name, held_reason=row.held_reason,
        busy=row.busy, failure=row.failure,
    )  # fmt: skip
