"""What is said when a run ends other than completed, and of its way back: for deployments, backups, drills and restores each in its own words."""

from __future__ import annotations

from engine.lanes import BACKUPS, DRILL, RESTORE, is_beside
from engine.notes import Tone
from engine.records import Ending, Run

PUBLISHED = "published"
"""The fact that a backup's run leaves once its backup counts."""

_DEPLOYMENT = {
    Ending.FAILED: (Tone.BAD, "stopped, nothing was changed"),
    Ending.RETURNED: (Tone.BAD, "the previous version is back"),
    Ending.INCOMPLETE: (Tone.ASK, "the return is INCOMPLETE, a person must finish it"),
    Ending.CANCELLED: (Tone.INFO, "cancelled, nothing was changed"),
}
_BACKUP = {
    Ending.FAILED: (Tone.BAD, "FAILED, there is no new backup"),
    Ending.RETURNED: (Tone.BAD, "FAILED, there is no new backup"),
    Ending.INCOMPLETE: (Tone.ASK, "FAILED, and what it left behind must be removed by a person"),
    Ending.CANCELLED: (Tone.INFO, "cancelled, nothing of it is kept"),
}
_DRILL = {
    Ending.FAILED: (Tone.BAD, "FAILED, nothing proves that its backup can be restored"),
    Ending.RETURNED: (Tone.BAD, "FAILED, nothing proves that its backup can be restored"),
    Ending.INCOMPLETE: (Tone.ASK, "not cleared up: a person must remove what was restored"),
    Ending.CANCELLED: (Tone.INFO, "cancelled, what was restored is gone"),
}
_RESTORE = {
    Ending.FAILED: (Tone.BAD, "stopped, nothing was changed"),
    Ending.RETURNED: (Tone.BAD, "stopped, the database in use is the one from before"),
    Ending.INCOMPLETE: (Tone.ASK, "stopped, and what it left behind must be looked at by a person"),
    Ending.CANCELLED: (Tone.INFO, "cancelled, nothing was changed"),
}
_REMEDIES = {
    DRILL: "`/forge backup drill {environment}{service}` drills again; `/forge backup list {environment}{service}` shows what is proven.",
    "backup": "`/forge backup run {environment}{service}` makes one once the cause is gone.",
    "base_backup": "`/forge backup run {environment} --kind base{service}` makes one once the cause is gone.",
}


def ending_words(run: Run) -> tuple[Tone, str]:
    """Of a run that has ended, other than completed."""
    words = _DEPLOYMENT
    if run.procedure in BACKUPS and run.ending == Ending.CANCELLED and PUBLISHED in run.facts:
        return Tone.INFO, "cancelled after it was published: the backup stays"
    if run.procedure in BACKUPS:
        words = _BACKUP
    elif run.procedure == DRILL:
        words = _DRILL
    elif run.procedure == RESTORE:
        words = _RESTORE
    return words[Ending(run.ending or "")]


def ending_remedy(run: Run) -> str:
    """What to type after a backup or a drill that failed; empty for the rest."""
    if run.ending not in (Ending.FAILED, Ending.INCOMPLETE):
        return ""
    return _REMEDIES.get(run.procedure, "").format(
        environment=run.environment, service=f" --service {run.service}"
    )  # fmt: skip


def completed_words(run: Run) -> str:
    """Why a run is over that came to its end."""
    name = f"{run.service} on {run.environment}"
    if run.procedure in BACKUPS:
        return f"the {run.version} of {name} is made and published"
    if run.procedure == DRILL:
        return f"the restore drill of {name} has passed"
    if run.procedure == RESTORE:
        return f"{name} is restored"
    return f"{run.version} is on {run.environment}"


def leaving_words(run: Run) -> str:
    """Of the way back that a run has turned to."""
    if is_beside(run):
        return "clearing up what it has begun"
    if run.procedure == RESTORE:
        return "taking the restore back"
    return "returning to the previous state"


def stop_command(run: Run) -> str:
    """The command that ends it when it has begun."""
    return "cancel" if is_beside(run) else "abort"


def stops_words(run: Run) -> str:
    """What becomes of a run that is told to stop."""
    if run.first_effect_at is None:
        return "stops; it has changed nothing"
    if is_beside(run):
        return "stops, and what it has begun is cleared up"
    if run.procedure == RESTORE:
        return "stops, and what was restored is dropped"
    return "returns to the previous state"
