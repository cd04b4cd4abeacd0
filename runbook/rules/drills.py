"""Whether restores are drilled often enough. Runbook: Backup Policy, "Weekly restore drill". Pure.

Amber, then red: a missed or failed drill is shown for one cadence more, then production's gate fails.
"""

from __future__ import annotations

from datetime import datetime

from runbook.ports import Backup
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration

GRACE = 2.0
"""How many cadences may pass since the last drill that succeeded: one, and one more of grace."""

DRILL_REMEDY = "Drill a restore of this database: `/forge backup drill <env>`"


def check_drill(gate: str, backup: Backup, now: datetime, cadence_s: float, *before: Evidence) -> Verdict | None:
    """The FAIL for a drill that is missing or too old, even with the grace; None where there is none. before: other evidence to show."""
    if backup.drilled_at is None:
        reason = "no restore was ever drilled for this database: a backup is proven by restoring one"
        return Verdict.failed(gate, "backup.no_drill", reason, *before, remedy=DRILL_REMEDY)
    age_s, evidence = drill_age(backup, now, cadence_s)
    if age_s > GRACE * cadence_s:
        reason = f"the last restore drill was {duration(age_s)} ago; {duration(cadence_s)} are allowed, and the grace of as much again is over"
        return Verdict.failed(gate, "backup.old_drill", reason, *before, evidence, remedy=DRILL_REMEDY)
    return None


def drill_warnings(gate: str, backup: Backup | None, now: datetime, cadence_s: float) -> tuple[Verdict, ...]:
    """What is amber: shown, and binding nobody yet. Empty where nothing is, and where it is red already."""
    if backup is None or backup.drilled_at is None or check_drill(gate, backup, now, cadence_s) is not None:
        return ()
    age_s, evidence = drill_age(backup, now, cadence_s)
    left = duration(max(0.0, GRACE * cadence_s - age_s))
    if backup.drill_failed_at is not None and backup.drill_failed_at >= backup.drilled_at:
        why = f": {backup.drill_failure}" if backup.drill_failure else ""
        code, reason = (
            "backup.drill_failed",
            f"the newest restore drill failed{why}; without one that succeeds this gate fails in {left}",
        )
    elif age_s > cadence_s:
        code = "backup.drill_missed"
        reason = f"a restore drill was missed: the last was {duration(age_s)} ago, {duration(cadence_s)} are allowed; this gate fails in {left}"
    else:
        return ()
    return (Verdict(gate, Outcome.FAIL, code, reason, (evidence,), DRILL_REMEDY, binding=False),)


def drill_age(backup: Backup, now: datetime, cadence_s: float) -> tuple[float, Evidence]:
    """Seconds since the last drill that succeeded; it must have been one."""
    assert backup.drilled_at is not None  # noqa: S101 - asked before
    age_s = max(0.0, (now - backup.drilled_at).total_seconds())
    return age_s, Evidence(name="restore drill", value=age_s, limit=cadence_s, unit="s", at=backup.drilled_at)
