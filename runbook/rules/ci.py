"""Whether CI is green. Runbook: Promotion Criteria, "CI status: required green"."""

from __future__ import annotations

from collections.abc import Sequence

from runbook.ports import CiCheck
from runbook.verdicts import Evidence, Verdict
from runbook.wording import listing

GATE = "CI green"
_MOST_NAMED = 8


def judge_ci(checks: Sequence[CiCheck], required: Sequence[str], commit: str) -> Verdict:
    """Red names the red ones; what hasn't answered yet, or isn't there, is no data: it may still come.

    required: names that must be green; empty: every check that ran, and at least one.
    """
    short = commit[:12]
    judged = [check for check in checks if not required or check.name in required]
    red = [check for check in judged if check.state == "failure"]
    pending = [check for check in judged if check.state not in ("success", "failure")]
    present = {check.name for check in judged}
    missing = [name for name in required if name not in present]
    evidence = _evidence(judged, red, pending, commit)
    if red:
        reason = f"CI is red on {short}: {_names([c.name for c in red])} failed"
        where = listing(c.url for c in red[:3] if c.url)
        remedy = f"Mend the cause and tag the next candidate{f'; see {where}' if where else ''}"
        return Verdict.failed(GATE, "ci.red", reason, *evidence, remedy=remedy)
    if pending:
        reason = f"CI is not finished on {short}: {_names([c.name for c in pending])} pending"
        return Verdict.no_data(GATE, "ci.pending", reason, *evidence, remedy="Wait for CI, then retry")
    if missing:
        reason = f"{_names(missing)} required, but not reported for {short}"
        remedy = "Let CI run on this commit, or correct required_checks in the service's configuration"
        return Verdict.no_data(GATE, "ci.required_missing", reason, *evidence, remedy=remedy)
    if not judged:
        remedy = "Let CI run on this commit: no check at all is not a green one"
        return Verdict.no_data(GATE, "ci.none", f"no CI check is reported for {short}", *evidence, remedy=remedy)
    return Verdict.passed(GATE, f"{len(judged)} of {len(judged)} checks are green on {short}", *evidence)


def _names(names: Sequence[str]) -> str:
    """Never more than a reader takes in."""
    shown = list(names[:_MOST_NAMED])
    if len(names) > _MOST_NAMED:
        shown.append(f"{len(names) - _MOST_NAMED} more")
    return listing(shown)


def _evidence(
    judged: Sequence[CiCheck], red: Sequence[CiCheck], pending: Sequence[CiCheck], commit: str
) -> tuple[Evidence, ...]:
    green = len(judged) - len(red) - len(pending)
    total = Evidence(name="green checks", value=green, limit=len(judged), unit="count", source=commit)
    return (total, *(Evidence(name=c.name, value=c.state, limit="success", source=c.url) for c in (*red, *pending)))
