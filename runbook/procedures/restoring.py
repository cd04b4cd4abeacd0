"""What restores, drills and the rollback's point-in-time choice have in common: the runbook's steps 2 to 5, and the choice of the backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runbook.backups import BackupKind, BackupRecord, RestoreChecks, WalSegment
from runbook.moments import told
from runbook.plan import Step
from runbook.ports import Ports
from runbook.procedures.base import Request
from runbook.rules.restores import Chosen, choose_backup, recoverable
from runbook.rules.wal import newest_base
from runbook.steps import CheckRecoverable, FetchBackup, PostRestoreChecks, ProvisionInstance, RestoreBackup
from runbook.values import Environment
from runbook.verdicts import Verdict

GATE = "recoverable"


@dataclass(frozen=True)
class Restorable:
    """Which backup of which environment is restored. backup: its id, or empty: chosen when it begins. until: ISO time, or empty."""

    source: Environment
    backup: str = ""
    until: str = ""
    kind: BackupKind = BackupKind.LOGICAL
    major: int = 0
    about: Mapping[str, Any] | None = None


async def look_at_backup(request: Request, source: Environment, ports: Ports) -> tuple[Restorable | None, Verdict]:
    """What the request means by what is on record now, or why nothing is restored."""
    if (missing := not_configured(ports)) is not None:
        return None, missing
    assert ports.backup_ledger is not None  # noqa: S101 - asked above
    ledger = ports.backup_ledger
    at = request.options.get("at", "")
    try:
        moment = datetime.fromisoformat(at) if at else None
    except ValueError:
        moment = None
    if at and (moment is None or moment.tzinfo is None):
        reason = f"“{at}” is no moment with a time zone"
        return None, Verdict.failed(GATE, "restore.bad_moment", reason, remedy="Write it as 2026-12-27T17:55Z")
    records = await ledger.records(request.service, source)
    segments = await ledger.segments(request.service, source)
    window = await ledger.window(request.service, source)
    wanted, now = request.options.get("backup", ""), ports.clock.now()
    kind = "" if wanted or moment is not None else request.options.get("kind", "")
    if kind == BackupKind.BASE.value:
        chosen = _newest_base(records, segments, now)
    else:
        mine = [record for record in records if not kind or record.kind.value == kind]
        chosen = choose_backup(mine, segments, window, now, wanted=wanted, at=moment)
    if isinstance(chosen, Verdict):
        return None, chosen
    return _restorable(chosen, source), recoverable(chosen)


def _newest_base(records: Sequence[BackupRecord], segments: Sequence[WalSegment], now: datetime) -> Chosen | Verdict:
    """With all the WAL that is archived behind it."""
    found = newest_base(records, segments, now)
    if found is not None:
        return Chosen(*found)
    reason = "no base backup on record was ever read back whole: there is nothing that WAL could be replayed onto"
    return Verdict.failed(GATE, "restore.no_base", reason, remedy="Make one: `/forge backup run <env> --kind base`")


def _restorable(chosen: Chosen, source: Environment) -> Restorable:
    record = chosen.record
    until = chosen.until.isoformat() if chosen.until is not None else ""
    about = {
        "backup": record.id,
        "kind": record.kind.value,
        "source": source.value,
        "until": until,
        "finished_at": record.finished_at.isoformat() if record.finished_at is not None else "",
        "bytes": record.plain_bytes,
        "major": record.server_version_num // 10_000,
    }
    return Restorable(source, record.id, until, record.kind, record.server_version_num // 10_000, about)


def not_configured(ports: Ports) -> Verdict | None:
    """The refusal where nothing can be restored; None where it can."""
    missing = {
        "no destination of backups": ports.repository is None,
        "no record of backups": ports.backup_ledger is None,
        "nowhere to restore to": ports.restore_host is None,
    }
    what = next((name for name, is_missing in missing.items() if is_missing), None)
    if what is None:
        return None
    remedy = "Configure integrations.postgres.backups, with identity and scratch where restores and drills run"
    return Verdict.failed(GATE, "restore.not_configured", f"{what} is configured", remedy=remedy)


def check_step(service: str, what: Restorable, *, on_fail: str, drill: bool = False) -> CheckRecoverable:
    title = "The backup can be restored"
    if what.until:
        title = f"The database can be recovered to {told(datetime.fromisoformat(what.until))}"
    return CheckRecoverable(
        title=title,
        service=service,
        source=what.source,
        backup=what.backup,
        until=what.until,
        drill=drill,
        on_fail=on_fail,
    )


def restore_steps(
    service: str, what: Restorable, checks: RestoreChecks, *, on_fail: str, serving: bool
) -> tuple[Step, ...]:
    """Fetch and check, provision, restore and replay, look. Restore Procedure 2 to 5. serving: the environment is to go on with it."""
    major = f"PostgreSQL {what.major}" if what.major else "a PostgreSQL of the same major version"
    restored = f"Restore {what.backup}" if what.backup else "Restore the backup"
    if what.until:
        restored = f"Restore the base backup and replay WAL to {told(datetime.fromisoformat(what.until))}"
    return (
        FetchBackup(
            title="Fetch everything and check it before anything reads it",
            service=service,
            serving=serving,
            on_fail=on_fail,
        ),
        ProvisionInstance(
            title=f"Provision {major}, apart from everything else", service=service, serving=serving, on_fail=on_fail
        ),
        RestoreBackup(title=restored, service=service, serving=serving, on_fail=on_fail),
        PostRestoreChecks(
            title="Post-restore checks", service=service, serving=serving, checks=checks, on_fail=on_fail
        ),
    )
