"""The steps that are Jobs, made from what a release declares: shared by the procedures."""

from __future__ import annotations

from typing import Any

from runbook.jobs import JobTemplate, Migration, Stage, Suite, SuiteKind
from runbook.plan import Step
from runbook.policy import JobsPolicy, Policy
from runbook.procedures.preparing import Candidate
from runbook.steps import MeasurePerformance, Migrate, RunSuite, VerifyMigrations

_SUITES = {
    SuiteKind.INTEGRATION: "API integration tests",
    SuiteKind.END_TO_END: "End-to-end tests",
    SuiteKind.MIGRATION: "Migration checks",
    SuiteKind.COMPATIBILITY: "Backward compatibility",
}


def _common(candidate: Candidate, job: JobTemplate, policy: JobsPolicy, base_url: str = "") -> dict[str, Any]:
    found = candidate.image(job)
    return {
        "template": job,
        "service": candidate.service.name,
        "version": candidate.release.version,
        "image": found.image,
        "previous_of": found.previous_of,
        "base_url": base_url,
        "log_tail_bytes": policy.log_tail_bytes,
        "shown_lines": policy.shown_lines,
    }


def migration_step(candidate: Candidate, migration: Migration, policy: JobsPolicy, *, on_fail: str) -> Step:
    """The way back travels with the step: whoever leaves the plan finds it there. A migration whose end nobody knows isn't repeated by itself."""
    word = "Expand" if migration.stage is Stage.EXPAND else "Contract"
    return Migrate(
        title=f"{word} migration {migration.name}",
        migration=migration.name,
        stage=migration.stage,
        backward_compatible=migration.backward_compatible,
        down=migration.down,
        down_image="" if migration.down is None else candidate.image(migration.down).image,
        on_fail=on_fail,
        retries=0,
        **_common(candidate, migration.up, policy),
    )


def verification_step(candidate: Candidate, policy: JobsPolicy, *, on_fail: str) -> tuple[Step, ...]:
    """Empty where no Job verifies."""
    job = candidate.migrations.verification
    if job is None:
        return ()
    return (VerifyMigrations(title="Verify the data", on_fail=on_fail, **_common(candidate, job, policy)),)


def suite_step(candidate: Candidate, suite: Suite, base_url: str, policy: JobsPolicy, *, on_fail: str) -> Step:
    return RunSuite(
        title=f"{_SUITES[suite.kind]}: {suite.name}",
        suite=suite.name,
        suite_kind=suite.kind,
        on_fail=on_fail,
        **_common(candidate, suite.job, policy, base_url),
    )


def load_step(candidate: Candidate, base_url: str, policy: Policy, *, on_fail: str) -> tuple[Step, ...]:
    """Empty where no load is configured."""
    performance = candidate.service.performance
    if performance is None:
        return ()
    step = MeasurePerformance(
        title="Performance baseline",
        target=performance.target,
        rate=performance.rate,
        duration_s=performance.duration_s,
        tolerance=policy.performance.tolerance,
        max_failed_ratio=policy.performance.max_failed_ratio,
        on_fail=on_fail,
        **_common(candidate, performance.job, policy.jobs, base_url),
    )
    return (step,)
