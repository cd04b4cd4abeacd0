"""Failures that say nothing of a version: nobody answered at all. Behind a gateway a broken pod makes 5xx answers; where nothing comes back it
may as well be forge's own way out. A monitoring outage is no proof of a bad release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from runbook.rules.health import UNANSWERED
from runbook.verdicts import Outcome, Verdict

FAIL, HOLD = "fail", "hold"
"""What becomes of them: `hold` makes them errors, which hold and ask a person."""

REMEDY = "Look whether forge reaches the service at all; retry once it does, or roll back by hand"


def held(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The same; failures are errors where each of them is only that nobody answered."""
    found = tuple(verdicts)
    failed = [verdict for verdict in found if verdict.outcome is Outcome.FAIL]
    if not failed or not all(_is_silence(verdict, failed) for verdict in failed):
        return found
    return tuple(_as_error(verdict) if verdict.outcome is Outcome.FAIL else verdict for verdict in found)


def _is_silence(verdict: Verdict, failed: list[Verdict]) -> bool:
    if verdict.code == "health.success_ratio":
        counts = {fact.name: fact.value for fact in verdict.evidence}
        return counts.get(UNANSWERED) == counts.get("failed probes")
    if verdict.code == "smoke.repeated":
        return any(other.code == "smoke.no_answer" for other in failed)
    return verdict.code == "smoke.no_answer"


def _as_error(verdict: Verdict) -> Verdict:
    reason = f"{verdict.reason}; nobody answered at all, which says nothing of the version"
    return replace(verdict, outcome=Outcome.ERROR, code="health.unreachable", reason=reason, remedy=REMEDY)
