"""Runbook: Staging Deployment. A candidate is verified, approved, migrated, deployed, tested, loaded and observed under guards; it gets its go
or goes back.

The one declared deviation: expand migrations run before the new code, so that it never meets a schema that it doesn't know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runbook import series
from runbook.criteria import Promotion, Weight, criterion
from runbook.jobs import Stage
from runbook.plan import CONTINUE, HOLD, STOP, Guard, Plan, Span, Step, procedure, to_json
from runbook.policy import Policy, Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Request
from runbook.procedures.deploying import about_migrations, deploy_steps, expand_steps, smoke_step
from runbook.procedures.jobs import load_step, suite_step
from runbook.procedures.preparing import Candidate, has_dev, look_at_candidate, nothing_of_dev
from runbook.series import Windows
from runbook.steps import (
    Announce,
    Approval,
    AutomatedTests,
    CalmAcross,
    CandidateTag,
    CiGreen,
    CleanScan,
    DependencyTimeouts,
    Deployable,
    DevValidated,
    Gate,
    KeyMetrics,
    Migrated,
    Observe,
    PerformanceKept,
    RecordDecision,
    RememberImages,
    SteadyState,
)
from runbook.steps.gates import AnyCheck
from runbook.values import Environment
from runbook.verdicts import Verdict

NAME = "staging"
RETURN = "return_to_previous"
BACK = procedure(RETURN)


async def staging(request: Request, setting: Setting, ports: Ports) -> Prepared:
    """Looks at the candidate, then makes the plan; without a plan every obstacle is told at once.

    Raises `runbook.errors` when an outside system gave no answer: that is no refusal.
    """
    candidate, verdicts = await look_at_candidate(request, setting, ports)
    if candidate is None:
        return Prepared(None, verdicts)
    if has_dev(candidate.service, ports):
        return Prepared(staging_plan(replace(candidate, after_dev=True), setting.policy), verdicts)
    reason = nothing_of_dev(candidate.service.name)  # nothing is left out silently
    told = Verdict.passed("dev promotion gate", reason, code="dev.not_configured")
    return Prepared(staging_plan(candidate, setting.policy), (*verdicts, told))


def staging_plan(candidate: Candidate, policy: Policy) -> Plan:
    """The runbook's order. Pure: equal arguments give equal plans."""
    return Plan(
        procedure=NAME,
        service=candidate.service.name,
        environment=Environment.STAGING,
        version=candidate.release.version,
        nodes=(
            *_before_effects(candidate, policy),
            Span(guards=_guards(policy), on_breach=RETURN, steps=_guarded(candidate, policy)),
            RecordDecision(title="Record the result", result="go", on_fail=HOLD),
            Announce(title="Announce the result", moment="completed", on_fail=CONTINUE),
        ),
        about=_about(candidate, policy),
    )


def _before_effects(candidate: Candidate, policy: Policy) -> tuple[Step, ...]:
    """Everything that can refuse the release does so while nothing has changed yet. Promotion Criteria: dev → staging."""
    service = candidate.service
    return (
        Gate(
            title="Release candidate",
            checks=(_tag(candidate), _scan(candidate, policy, Promotion.TO_STAGING)),
            on_fail=STOP,
        ),
        Gate(
            title="CI green",
            checks=(_ci(candidate),),
            patience_s=policy.staging.ci_wait_s,
            retries=0,
            on_fail=STOP,
        ),
        Gate(title="Workloads deployable", checks=(Deployable(service.workloads, service.health),), on_fail=STOP),
        *_after_dev(candidate, policy),
        Approval(
            title="Deploy to staging",
            roles=policy.staging.approvers,
            expires_s=policy.waiting.approval_expires_s,
            purpose="deploy",
            on_fail=STOP,
        ),
        RememberImages(title="Remember the images that run now", workloads=service.workloads, on_fail=STOP),
    )


def _after_dev(candidate: Candidate, policy: Policy) -> tuple[Step, ...]:
    """Runbook: Dev promotion gate to staging candidate; CI has a gate of its own. Empty where no dev is configured: then nothing is asked."""
    if not candidate.after_dev:
        return ()
    service = candidate.service.name
    weights = {row.name: row.weight(Promotion.TO_STAGING) for row in policy.criteria}
    checks = (
        CalmAcross(service, (Environment.DEV, Environment.STAGING)),
        DevValidated(
            service, candidate.release.commit, weights["suites"], weights["performance"], policy.staging.dev_validated
        ),
    )
    return (Gate(title="Dev promotion gate", checks=checks, on_fail=STOP),)


def _guarded(candidate: Candidate, policy: Policy) -> tuple[Step, ...]:
    """From the first effect to the go, waits included."""
    return (
        *expand_steps(candidate, policy, on_fail=BACK),
        *deploy_steps(candidate, policy.staging, on_fail=BACK),
        *_tests(candidate, policy),
        *_observation(candidate, policy),
    )


def _tests(candidate: Candidate, policy: Policy) -> tuple[Step, ...]:
    """Smoke tests, then the full validation suite, then the load. What is not required to go on is shown and decides nothing."""
    service = candidate.service
    base_url = service.urls[Environment.STAGING]
    smoke = smoke_step(candidate, Environment.STAGING, policy, on_fail=BACK)
    suites = tuple(
        suite_step(candidate, suite, base_url, policy.jobs, on_fail=_unless(policy, "suites"))
        for suite in service.suites
    )
    load = load_step(candidate, base_url, policy, on_fail=_unless(policy, "performance"))
    return (smoke, *suites, *load)


def _unless(policy: Policy, row: str) -> str:
    required = criterion(policy.criteria, row).weight(Promotion.TO_PROD) is Weight.REQUIRED
    return BACK if required else CONTINUE


def _observation(candidate: Candidate, policy: Policy) -> tuple[Step, ...]:
    service, numbers = candidate.service, policy.staging
    return (
        Observe(
            title="Observe key metrics and health",
            service=service.name,
            base_url=service.urls[Environment.STAGING],
            duration_s=numbers.observation_s,
            health=service.health,
            acceptance=policy.health,
            smoke=service.smoke,
            smoke_every_s=numbers.smoke_every_s,
            on_fail=BACK,
        ),
        Gate(
            title="Staging promotion gate",
            checks=_promotion(candidate, policy),
            patience_s=max(numbers.traffic_wait_s, policy.scans.wait_s),
            every_s=policy.metrics.interval_s,
            retries=0,
            on_fail=BACK,
        ),
        Approval(
            title="Go or no-go",
            roles=numbers.go_approvers,
            expires_s=policy.waiting.approval_expires_s,
            purpose="go",
            on_fail=BACK,
        ),
    )


# --- the gates' checks ------------------------------------------------------------------------------------------------


def _promotion(candidate: Candidate, policy: Policy) -> tuple[AnyCheck, ...]:
    """Runbook: Staging promotion gate, and the observation's key metrics: all of it speaks at once. Promotion Criteria: staging → prod."""
    service, migrations = candidate.service, candidate.migrations
    windows = Windows(policy.metrics.window, policy.metrics.baseline, policy.metrics.month)
    rows = {row.name: row.weight(Promotion.TO_PROD) for row in policy.criteria}
    suites = tuple(suite.name for suite in service.suites)
    expand = tuple(migration.name for migration in migrations.of(Stage.EXPAND))
    performance = () if service.performance is None else (
        PerformanceKept(service.performance.target, rows["performance"]),
    )  # fmt: skip
    return (
        _tag(candidate),
        _ci(candidate),
        AutomatedTests(suites, rows["suites"]),
        Migrated(expand, bool(expand) and migrations.verification is not None),
        *performance,
        _scan(candidate, policy, Promotion.TO_PROD),
        _steady_state(candidate, policy),
        KeyMetrics(
            service=service.name, windows=windows, thresholds=policy.observed, without=service.without,
            queue_lag_for_s=policy.metrics.queue_lag_for_s,
        ),
        DependencyTimeouts(
            service=service.name, windows=windows, over=policy.metrics.dependency_timeouts_over,
            floor=policy.metrics.dependency_timeouts_floor, without=service.without,
        ),
    )  # fmt: skip


def _tag(candidate: Candidate) -> CandidateTag:
    return CandidateTag(candidate.service.repository, candidate.release)


def _ci(candidate: Candidate) -> CiGreen:
    service = candidate.service
    return CiGreen(service.repository, candidate.release.commit, service.required_checks)


def _scan(candidate: Candidate, policy: Policy, promotion: Promotion) -> CleanScan:
    return CleanScan(
        images=candidate.release.images,
        repository=candidate.service.repository,
        commit=candidate.release.commit,
        max_age_s=policy.scans.max_age_s,
        code_scanning=policy.scans.code_scanning,
        weight=criterion(policy.criteria, "scan").weight(promotion),
    )


def _steady_state(candidate: Candidate, policy: Policy) -> SteadyState:
    return SteadyState(
        service=candidate.service.name,
        window=policy.metrics.window,
        max_error_ratio=policy.staging.max_error_ratio,
        max_latency_p95_s=policy.staging.max_latency_p95_s,
        min_requests=policy.staging.min_requests,
    )


def _guards(policy: Policy) -> tuple[Guard, ...]:
    """Runbook: Critical Alerts, each on its recorded series."""
    return tuple(
        Guard(
            name=threshold.name,
            metric=series.recorded(threshold.metric, policy.metrics.window),
            above=threshold.above,
            limit=threshold.limit,
            for_s=threshold.for_s,
            unit=threshold.unit,
        )
        for threshold in policy.critical
    )


def _about(candidate: Candidate, policy: Policy) -> Mapping[str, Any]:
    service, release, migrations = candidate.service, candidate.release, candidate.migrations
    return {
        "release": to_json(release),
        "repository": service.repository,
        "images": [image.reference for image in release.images],
        "changes_url": candidate.changes_url,
        "durations": {
            "observation_s": policy.staging.observation_s,
            "rollout_timeout_s": policy.staging.rollout_timeout_s,
            "approval_expires_s": policy.waiting.approval_expires_s,
        },
        "criteria": [to_json(row) for row in policy.criteria],
        **about_migrations(migrations),
    }
