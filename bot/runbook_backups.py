"""The chapter of `forge runbook` on databases: backup, drill and restore, rendered from the very plans that are executed."""

from __future__ import annotations

from collections.abc import Iterator

from bot.runbook_lines import step_lines
from runbook.backups import BackupKind, RestoreChecks
from runbook.durations import duration_text
from runbook.policy import BackupsPolicy, Service, Setting
from runbook.procedures.backup import backup_plan
from runbook.procedures.drill import drill_plan
from runbook.procedures.restore import restore_plan
from runbook.procedures.restoring import Restorable
from runbook.values import Environment
from runbook.wording import listing


def backup_chapter(service: Service, setting: Setting) -> Iterator[str]:
    """Of a service with a database, in the gravest of its environments."""
    environment = Environment.PROD if Environment.PROD in service.urls else next(iter(service.urls))
    policy, what = setting.policy.backups, Restorable(environment)
    yield f"## PostgreSQL Backup and Restore: {service.name}"
    yield ""
    yield "Where its database and a destination of backups are configured."
    yield ""
    yield from _policy(policy)
    yield f"### Backup of {service.name}"
    yield ""
    yield f"By schedule, and by `/forge backup run {environment}`."
    yield ""
    yield from step_lines(backup_plan(service.name, environment, BackupKind.LOGICAL, setting.policy))
    yield "A base backup differs in what is made: of the whole server, onto which WAL is replayed."
    yield ""
    yield f"### Restore drill of {service.name}"
    yield ""
    yield from step_lines(drill_plan(service.name, environment, what, setting))
    yield from _checks(service.restore_checks)
    yield f"### Restore of {service.name}"
    yield ""
    yield f"By `/forge restore {environment}`, of a backup or to a moment."
    yield ""
    yield from step_lines(restore_plan(service, environment, what, setting.policy))


def _policy(policy: BackupsPolicy) -> Iterator[str]:
    kept = listing(f"{duration_text(seconds)} in {env}" for env, seconds in policy.retention_s.items())
    yield from (
        f"- full backup: {_schedule(policy.full, policy.time_zone)}",
        f"- base backup: {_schedule(policy.base, policy.time_zone)}",
        f"- restore drill: {_schedule(policy.drill, policy.time_zone)}",
        f"- kept for {kept}, counted from its completion",
        f"- a new WAL segment at least every {duration_text(policy.wal_switch_s)} while something is written",
        f"- what has not begun {duration_text(policy.missed_after_s)} after it was due is missed, and told to the Database Owner",
        "",
    )


def _schedule(rule: str, zone: str) -> str:
    return f"{rule} ({zone})" if rule else "never by itself"


def _checks(checks: RestoreChecks) -> Iterator[str]:
    yield "Post-restore checks, of drills and restores: invalid constraints and indexes, sequences that are behind, and"
    yield ""
    if checks.schema_version:
        yield f"- the schema's version: `{checks.schema_version}`"
    for table in checks.tables:
        least = checks.minimum_rows.get(table)
        yield f"- the rows of {table}{'' if least is None else f', at least {least}'}"
    yield from (f"- that this is true: `{statement}`" for statement in checks.smoke)
    if not (checks.schema_version or checks.critical or checks.smoke):
        yield "- nothing more: `restore_checks` names none"
    yield ""
    yield (
        "What is restored of a full backup has to have what its source had in the dump's own snapshot: the same schema version, rows and "
        f"checksums of critical tables (checksums up to {checks.checksum_rows:,} rows), as many tables, constraints and indexes, no sequence behind."
    )
    yield ""
