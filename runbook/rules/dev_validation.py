"""Whether a commit was validated in dev, by what its run there left on record. Runbook: Dev promotion gate; Promotion Criteria. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runbook.criteria import Weight, weighed
from runbook.ports import Released
from runbook.rules.promotion import PERFORMANCE_GATE, SUITES_GATE, judge_smoke
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import listing

VALIDATED_GATE = "dev-validated"
_SUITE = "suite:"


@dataclass(frozen=True)
class DevWeights:
    """Of the table's rows, dev → staging. validated: of the validation itself (`policy.staging.dev_validated`)."""

    suites: Weight = Weight.OPTIONAL
    performance: Weight = Weight.RECOMMENDED
    validated: Weight = Weight.REQUIRED


def judge_validated(found: Released | None, commit: str, weights: DevWeights) -> tuple[Verdict, ...]:
    """found: the newest run that validated the commit; its facts are what its steps recorded."""
    short = commit[:12]
    if found is None:
        reason = f"{short} was not validated in dev"
        remedy = f"`/forge deploy dev {short}`, and wait for its result"
        unknown = Verdict.no_data(VALIDATED_GATE, "dev.not_validated", reason, remedy=remedy)
        return (*weighed((unknown,), weights.validated), *_required_anyway(weights, reason, remedy))
    evidence = Evidence(name="validated by", value=found.run, source=commit, at=found.at)
    return (
        Verdict.passed(VALIDATED_GATE, f"{short} was validated in dev by {found.run}", evidence),
        *weighed((_in_dev(judge_smoke(found.facts.get("smoke")), found.run),), weights.validated),
        *weighed((_suites(found),), weights.suites),
        *weighed((_performance(found),), weights.performance),
    )


def _required_anyway(weights: DevWeights, reason: str, remedy: str) -> Iterator[Verdict]:
    """Rows of the table that are required of dev stay unknown without a run there, whatever the validation itself weighs."""
    for name, code, weight in (
        (SUITES_GATE, "suites.not_run", weights.suites),
        (PERFORMANCE_GATE, "performance.not_run", weights.performance),
    ):
        if weight is Weight.REQUIRED:
            yield Verdict.no_data(f"{name} in dev", code, reason, remedy=remedy)


def _in_dev(verdict: Verdict, run: str) -> Verdict:
    """A gate's name of its own: staging's checks of the same kind are of another run."""
    return replace(verdict, gate=f"{verdict.gate} in dev", reason=verdict.reason.replace("this run", run))


def _suites(found: Released) -> Verdict:
    """All that ran there have passed."""
    gate = f"{SUITES_GATE} in dev"
    ran = {key.removeprefix(_SUITE): fact for key, fact in found.facts.items() if key.startswith(_SUITE)}
    if not ran:
        return Verdict.no_data(gate, "suites.not_run", f"{found.run} has run no suites")
    failed = [name for name, fact in ran.items() if _outcome(fact) != Outcome.PASS]
    evidence = tuple(Evidence(name=name, value=_outcome(fact) or None) for name, fact in ran.items())
    if failed:
        reason = f"{listing(failed)} {'has' if len(failed) == 1 else 'have'} not passed in {found.run}"
        return Verdict.failed(gate, "suites.failed", reason, *evidence)
    return Verdict.passed(gate, f"{listing(ran)} passed in {found.run}", *evidence)


def _performance(found: Released) -> Verdict:
    gate = f"{PERFORMANCE_GATE} in dev"
    fact = found.facts.get("performance")
    if not isinstance(fact, Mapping):
        return Verdict.no_data(gate, "performance.not_run", f"{found.run} has measured no performance")
    reason = str(fact.get("reason") or f"{found.run} has measured it")
    if fact.get("outcome") == Outcome.PASS:
        return Verdict.passed(gate, reason)
    if fact.get("outcome") == Outcome.FAIL:
        return Verdict.failed(gate, "performance.missed", reason)
    return Verdict.no_data(gate, "performance.unknown", reason)


def _outcome(fact: Any) -> str:
    return str(fact.get("outcome", "")) if isinstance(fact, Mapping) else ""
