"""Runbook: Backup Procedure. The destination is verified, the database copied and read back, what is stored confirmed, the metadata
published last, and the retention applied.

A full logical backup and a physical base backup are the same procedure. Until it is published nothing of it counts, and the way back
discards it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook.backups import BackupKind, RestoreChecks
from runbook.plan import CONTINUE, Plan, procedure
from runbook.policy import RETENTION_S, Policy, Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Request
from runbook.steps import ApplyRetention, CheckDestination, ConfirmBackup, DiscardBackup, MakeBackup, PublishBackup
from runbook.steps.backups import NO_CHECKS
from runbook.values import Environment
from runbook.verdicts import Evidence, Verdict

BACKUP, BASE_BACKUP = "backup", "base_backup"
DISCARD = "discard_backup"
GATE = "backup"

LABELS: Mapping[BackupKind, str] = {BackupKind.LOGICAL: "full backup", BackupKind.BASE: "base backup"}
"""What a run of it is called where a release has its version."""

_BACK = procedure(DISCARD)


async def backup(request: Request, setting: Setting, ports: Ports) -> Prepared:
    """Of one database, by `pg_dump`. The refusal where none is configured."""
    return _prepared(request, setting, ports, BackupKind.LOGICAL)


async def base_backup(request: Request, setting: Setting, ports: Ports) -> Prepared:
    """Of the whole server, by `pg_basebackup`: what WAL can be replayed onto."""
    return _prepared(request, setting, ports, BackupKind.BASE)


def _prepared(request: Request, setting: Setting, ports: Ports, kind: BackupKind) -> Prepared:
    verdict = configured(request.service, request.environment, ports)
    if verdict is not None:
        return Prepared(None, (verdict,))
    checks = setting.services[request.service].restore_checks
    plan = backup_plan(request.service, request.environment, kind, setting.policy, checks)
    passed = Verdict.passed(GATE, f"the database of {request.service} on {request.environment.value} is configured")
    return Prepared(plan, (passed,))


def configured(service: str, environment: Environment, ports: Ports) -> Verdict | None:
    """The refusal where this database can't be backed up; None where it can."""
    here = f"{service} on {environment.value}"
    missing = {
        f"no database of {here}": ports.databases.get((service, environment)) is None,
        "no destination of backups": ports.repository is None,
        "no record of backups": ports.backup_ledger is None,
    }
    what = next((name for name, is_missing in missing.items() if is_missing), None)
    if what is None:
        return None
    remedy = f"Add integrations.postgres.databases.{environment.value}.{service} and integrations.postgres.backups to forge.yaml"
    evidence = Evidence(name="database", value=None, source=here)
    return Verdict.failed(GATE, "backups.not_configured", f"{what} is configured", evidence, remedy=remedy)


def backup_plan(
    service: str, environment: Environment, kind: BackupKind, policy: Policy, checks: RestoreChecks = NO_CHECKS
) -> Plan:
    """The runbook's order. Pure: equal arguments give equal plans. checks: of what is restored of it later."""
    is_base = kind is BackupKind.BASE
    keep_s = policy.backups.retention_s.get(environment, RETENTION_S[environment])
    return Plan(
        procedure=BASE_BACKUP if is_base else BACKUP,
        service=service,
        environment=environment,
        version=LABELS[kind],
        nodes=(
            CheckDestination(
                title="Verify the backup destination: available and encrypted", service=service, backup=kind
            ),
            MakeBackup(
                title="Make the physical base backup" if is_base else "Make the full logical backup",
                service=service,
                backup=kind,
                checks=checks,
                on_fail=_BACK,
            ),
            ConfirmBackup(title="Validate the stored backup's integrity", service=service, on_fail=_BACK),
            PublishBackup(title="Record the backup's metadata", service=service, on_fail=_BACK),
            ApplyRetention(title="Apply the retention", service=service, keep_s=keep_s, on_fail=CONTINUE),
        ),
        about={"kind": kind.value, "keep_s": keep_s},
    )


def discard_backup(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    """The way back from a backup that failed or was cancelled: what is not published goes. What is published stays."""
    return Plan(
        procedure=DISCARD,
        service=left.service,
        environment=left.environment,
        version=left.version,
        nodes=(DiscardBackup(title="Discard what was not published", service=left.service, on_fail=CONTINUE),),
        about=left.about,
    )
