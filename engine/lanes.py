"""Which runs wait for each other, and what is said of a run that copies or restores a database rather than deploying a version.

Backups have a lane of their own for each service and environment, drills another; everything else shares the lane of deployments.
"""

from __future__ import annotations

from engine.records import Run
from runbook.values import Environment, Role

BACKUP, BASE_BACKUP, DRILL, RESTORE = "backup", "base_backup", "drill", "restore"

LABELS = {BACKUP: "full backup", BASE_BACKUP: "base backup", DRILL: "restore drill", RESTORE: "restore"}
"""`Run.version` of those whose procedure deploys no version: a label for people."""

BACKUPS = (BACKUP, BASE_BACKUP)

_LANES = {BACKUP: "backups", BASE_BACKUP: "backups", DRILL: "drills"}


def lane_of(procedure: str) -> str:
    """Runs of one lane never interleave. Empty: the lane of deployments."""
    return _LANES.get(procedure, "")


def is_beside(run: Run) -> bool:
    """It changes nothing of what runs: no lock and no freeze holds it up, and it may be cancelled at any time."""
    return bool(lane_of(run.procedure))


def is_of_database(procedure: str) -> bool:
    """It copies or restores a database."""
    return procedure in LABELS


def responsible(run: Run, *others: Role) -> tuple[Role, ...]:
    """Who must look where this run needs somebody; others: of a run that deploys."""
    return (Role.DATABASE_OWNER,) if is_of_database(run.procedure) else others


def is_of_dev(run: Run) -> bool:
    """A deployment there: on-call is never called for it, for nobody's night is worth it."""
    return run.environment == Environment.DEV.value and not is_of_database(run.procedure)


def called_at_once(run: Run) -> tuple[Role, ...]:
    """Who is called where forge itself can't go on, or leaves something to be done by hand."""
    return (Role.RELEASE_ENGINEER,) if is_of_dev(run) else responsible(run, Role.ON_CALL, Role.RELEASE_ENGINEER)


def escalated_to(run: Run) -> tuple[Role, ...]:
    """Who is called when it has needed somebody for long."""
    if is_of_dev(run):
        return (Role.RELEASE_ENGINEER, Role.SERVICE_OWNER)
    return (*responsible(run), Role.ON_CALL)


def place_word(procedure: str) -> str:
    """A version is deployed `to` an environment, a backup is made `on` it."""
    return "on" if is_of_database(procedure) else "to"
