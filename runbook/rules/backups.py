"""Whether there is a backup to go back to. Runbook: Production Deployment 3, Pre-Deployment "backup recency and restore test status"."""

from __future__ import annotations

from datetime import datetime

from runbook.ports import Backup
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration

BACKUP_GATE = "backup"
RESTORABLE = ("decoded", "restored", "verified")
"""States in which a backup was read back whole, at least; `created` and `stored` prove nothing."""

_MAKE = "Make a backup and have it read back; where backups are recorded elsewhere, override this gate with that reason"
_VERIFY = "Verify it by reading it back, or make another"
_DRILL = "Drill a restore of this database"


def check_backup(backup: Backup | None, now: datetime, max_age_s: float, drill_max_age_s: float) -> Verdict:
    """The newest backup is restorable and young enough, and a restore was drilled lately.

    backup: the newest on record. max_age_s, drill_max_age_s: in seconds, since it was finished and since the last drill that succeeded.
    """
    if backup is None:
        return Verdict.no_data(BACKUP_GATE, "backup.none", "no backup is on record for this service", remedy=_MAKE)
    age_s = max(0.0, (now - backup.finished_at).total_seconds())
    age = Evidence(name="age", value=age_s, limit=max_age_s, unit="s", source=backup.id, at=backup.finished_at)
    state = Evidence(name="state", value=backup.state, limit=RESTORABLE[0], source=backup.id)
    if backup.state not in RESTORABLE:
        reason = f"the newest backup, {backup.id}, is {backup.state}: nobody has read it back, so nothing says that it can be restored"
        return Verdict.failed(BACKUP_GATE, "backup.not_restorable", reason, state, age, remedy=_VERIFY)
    if age_s > max_age_s:
        reason = f"the newest backup, {backup.id}, is {duration(age_s)} old; {duration(max_age_s)} are allowed"
        return Verdict.failed(BACKUP_GATE, "backup.old", reason, age, state, remedy=_MAKE)
    return _check_drill(backup, now, drill_max_age_s, (age, state))


def no_database(service: str) -> Verdict:
    """By configuration (`services.<name>.database: false`) there is nothing to back up."""
    reason = f"{service} has no database, by configuration: there is nothing to back up"
    return Verdict.passed(BACKUP_GATE, reason, Evidence(name="database", value=False), code="backup.no_database")


def _check_drill(backup: Backup, now: datetime, max_age_s: float, before: tuple[Evidence, ...]) -> Verdict:
    if backup.drilled_at is None:
        reason = "no restore was ever drilled for this database: a backup is proven by restoring one"
        return Verdict.failed(BACKUP_GATE, "backup.no_drill", reason, *before, remedy=_DRILL)
    age_s = max(0.0, (now - backup.drilled_at).total_seconds())
    drill = Evidence(name="restore drill", value=age_s, limit=max_age_s, unit="s", at=backup.drilled_at)
    if age_s > max_age_s:
        reason = f"the last restore drill was {duration(age_s)} ago; {duration(max_age_s)} are allowed"
        return Verdict.failed(BACKUP_GATE, "backup.old_drill", reason, *before, drill, remedy=_DRILL)
    finished_s = max(0.0, (now - backup.finished_at).total_seconds())
    reason = (
        f"{backup.id} is {duration(finished_s)} old and {backup.state}; a restore was drilled {duration(age_s)} ago"
    )
    return Verdict.passed(BACKUP_GATE, reason, *before, drill)


def recoverable_minutes(backup: Backup | None, now: datetime) -> float | None:
    """How many minutes of data a restore to the newest recoverable moment would lose; None without a restorable base."""
    if backup is None or backup.state not in RESTORABLE or backup.recoverable_until is None:
        return None
    return max(0.0, (now - backup.recoverable_until).total_seconds()) / 60
