"""What a run has recorded of its own tests, judged again at the promotion gate. Runbook: Staging promotion gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbook.jobs import PerformanceTarget
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, listing

SMOKE_GATE = "smoke tests"
SUITES_GATE = "automated tests"
MIGRATIONS_GATE = "migrations"
PERFORMANCE_GATE = "performance baseline"


def judge_smoke(fact: Any) -> Verdict:
    """fact: as the smoke tests recorded it, `{"outcome", "requests"}`, or None."""
    if not isinstance(fact, Mapping):
        return Verdict.no_data(SMOKE_GATE, "smoke.not_run", "this run has recorded no smoke tests")
    count = Evidence(name="requests", value=int(fact.get("requests", 0)), unit="count")
    if fact.get("outcome") != Outcome.PASS:
        return Verdict.failed(SMOKE_GATE, "smoke.failed", "the smoke tests have not passed", count)
    return Verdict.passed(SMOKE_GATE, f"all {count.value} smoke requests were answered as expected", count)


def judge_suites(expected: Sequence[str], facts: Mapping[str, Any]) -> Verdict:
    """Every expected suite has passed in this very run; one that didn't run is no pass."""
    if not expected:
        remedy = "Configure services.<name>.suites"
        return Verdict.no_data(SUITES_GATE, "suites.none", "no test suites are configured", remedy=remedy)
    found = {name: facts.get(f"suite:{name}") for name in expected}
    evidence = tuple(_suite_evidence(name, fact) for name, fact in found.items())
    missing = [name for name, fact in found.items() if not isinstance(fact, Mapping)]
    failed = [name for name, fact in found.items() if isinstance(fact, Mapping) and fact.get("outcome") != Outcome.PASS]
    if failed:
        reason = f"{listing(failed)} {'has' if len(failed) == 1 else 'have'} not passed"
        return Verdict.failed(SUITES_GATE, "suites.failed", reason, *evidence)
    if missing:
        reason = f"{listing(missing)} {'has' if len(missing) == 1 else 'have'} no result in this run"
        return Verdict.no_data(SUITES_GATE, "suites.not_run", reason, *evidence)
    tests = sum(int(fact.get("tests") or 0) for fact in found.values() if isinstance(fact, Mapping))
    counted = f", {tests} tests in all" if tests else ""
    return Verdict.passed(SUITES_GATE, f"{listing(expected)} passed{counted}", *evidence)


def _suite_evidence(name: str, fact: Any) -> Evidence:
    if not isinstance(fact, Mapping):
        return Evidence(name=name, value=None)
    words = str(fact.get("outcome", ""))
    if isinstance(fact.get("duration_s"), int | float):
        words += f" in {duration(float(fact['duration_s']))}"
    tests = fact.get("tests")
    return Evidence(name=name, value=words, samples=int(tests) if isinstance(tests, int) and tests else None)


def judge_migrated(expected: Sequence[str], verified: bool, facts: Mapping[str, Any]) -> Verdict:
    """Every expand migration is recorded as done, and the verification as passed where there is one."""
    found = {name: facts.get(f"migration:{name}") for name in expected}
    evidence = tuple(
        Evidence(name=name, value=str(fact.get("state")) if isinstance(fact, Mapping) else None)
        for name, fact in found.items()
    )
    undone = [name for name, fact in found.items() if not (isinstance(fact, Mapping) and fact.get("state") == "up")]
    if undone:
        reason = f"{listing(undone)} {'is' if len(undone) == 1 else 'are'} not recorded as done"
        return Verdict.no_data(MIGRATIONS_GATE, "migrations.not_done", reason, *evidence)
    check = facts.get("verification")
    if verified and not (isinstance(check, Mapping) and check.get("outcome") == Outcome.PASS):
        reason = "the verification of the migrations has no result in this run"
        return Verdict.no_data(MIGRATIONS_GATE, "migrations.not_verified", reason, *evidence)
    if not expected:
        return Verdict.passed(MIGRATIONS_GATE, "the release has no migrations to run before its code")
    also = ", and the data were verified" if verified else ""
    return Verdict.passed(
        MIGRATIONS_GATE, f"{listing(expected)} {'is' if len(expected) == 1 else 'are'} done{also}", *evidence
    )


def judge_performance_kept(fact: Any, target: PerformanceTarget) -> Verdict:
    """What the load's own step found, with its figures beside the target: `{"outcome", "reason", "p50_s", …}`, or None."""
    if not isinstance(fact, Mapping):
        return Verdict.no_data(PERFORMANCE_GATE, "performance.not_run", "this run has measured no performance")
    limits = (
        ("p50_s", "p50", "s"),
        ("p95_s", "p95", "s"),
        ("p99_s", "p99", "s"),
        ("throughput", "throughput", "per_s"),
    )
    samples = fact.get("requests")
    evidence = tuple(
        Evidence(
            name=name, value=fact.get(key), limit=getattr(target, key), unit=unit,
            samples=samples if isinstance(samples, int) else None,
        )
        for key, name, unit in limits
        if isinstance(fact.get(key), int | float)
    )  # fmt: skip
    reason = str(fact.get("reason") or "the load's result is on record")
    outcome = fact.get("outcome")
    if outcome == Outcome.PASS:
        return Verdict.passed(PERFORMANCE_GATE, reason, *evidence)
    if outcome == Outcome.FAIL:
        return Verdict.failed(PERFORMANCE_GATE, "performance.missed", reason, *evidence)
    return Verdict.no_data(PERFORMANCE_GATE, "performance.unknown", reason, *evidence)
