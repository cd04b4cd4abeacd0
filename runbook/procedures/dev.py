"""Runbook: Development Deployment and its gate. A commit of the branch is deployed, tested and observed; it is marked as dev-validated, or dev
goes back to what ran before.

Nobody approves it, and no guard pages anybody: a failure returns dev and is told in the channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook.criteria import Promotion, Weight, criterion
from runbook.plan import CONTINUE, HOLD, STOP, Plan, Step, procedure, to_json
from runbook.policy import Policy, Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Request
from runbook.procedures.committed import dev_suites, is_loaded, look_at_commit
from runbook.procedures.deploying import about_migrations, deploy_steps, expand_steps, smoke_step
from runbook.procedures.jobs import load_step, suite_step
from runbook.procedures.preparing import Candidate
from runbook.steps import (
    Announce,
    AutomatedTests,
    CiGreen,
    CleanLogs,
    Deployable,
    ErrorRate,
    Gate,
    MarkValidated,
    Observe,
    PerformanceKept,
    RecordDecision,
    RememberImages,
    SmokePassed,
)
from runbook.steps.gates import AnyCheck
from runbook.values import Environment

NAME = "dev"
VALIDATED = "validated"
BACK = procedure("return_to_previous")


async def dev(request: Request, setting: Setting, ports: Ports) -> Prepared:
    """Looks at the commit, then makes the plan; without a plan every obstacle is told at once.

    Raises `runbook.errors` when an outside system gave no answer: that is no refusal.
    """
    candidate, verdicts = await look_at_commit(request, setting, ports)
    plan = None if candidate is None else dev_plan(candidate, setting.policy)
    return Prepared(plan, verdicts)


def dev_plan(candidate: Candidate, policy: Policy) -> Plan:
    """The runbook's order. Pure: equal arguments give equal plans. candidate: of a commit, without tag and signature."""
    return Plan(
        procedure=NAME,
        service=candidate.service.name,
        environment=Environment.DEV,
        version=candidate.release.version,
        nodes=(
            *_before_effects(candidate, policy),
            *expand_steps(candidate, policy, on_fail=BACK),
            *deploy_steps(candidate, policy.dev, on_fail=BACK),
            *_tests(candidate, policy),
            *_observation(candidate, policy),
            *_ending(candidate),
        ),
        about=_about(candidate, policy),
    )


def _before_effects(candidate: Candidate, policy: Policy) -> tuple[Step, ...]:
    service = candidate.service
    return (
        Gate(
            title="CI green",
            checks=(_ci(candidate),),
            patience_s=policy.dev.ci_wait_s,
            retries=0,
            on_fail=STOP,
        ),
        Gate(title="Workloads deployable", checks=(Deployable(service.workloads, service.health),), on_fail=STOP),
        RememberImages(title="Remember the images that run now", workloads=service.workloads, on_fail=STOP),
    )


def _tests(candidate: Candidate, policy: Policy) -> tuple[Step, ...]:
    """Runbook: Development Deployment 4. Suites and load only where they are asked for: they are optional for early dev."""
    service = candidate.service
    base_url = service.urls[Environment.DEV]
    smoke = smoke_step(candidate, Environment.DEV, policy, on_fail=BACK)
    suites = tuple(
        suite_step(candidate, suite, base_url, policy.jobs, on_fail=_unless(policy, "suites"))
        for suite in dev_suites(service, policy)
    )
    load = load_step(candidate, base_url, policy, on_fail=BACK) if is_loaded(service, policy) else ()
    return (smoke, *suites, *load)


def _unless(policy: Policy, row: str) -> str:
    return BACK if _weight(policy, row) is Weight.REQUIRED else CONTINUE


def _weight(policy: Policy, row: str) -> Weight:
    return criterion(policy.criteria, row).weight(Promotion.TO_STAGING)


def _observation(candidate: Candidate, policy: Policy) -> tuple[Step, ...]:
    """Runbook: Development Deployment 5, then the gate."""
    service, numbers = candidate.service, policy.dev
    return (
        Observe(
            title="Observe logs, error rate and health",
            service=service.name,
            base_url=service.urls[Environment.DEV],
            duration_s=numbers.observation_s,
            health=service.health,
            acceptance=policy.health,
            smoke=service.smoke,
            smoke_every_s=numbers.smoke_every_s,
            on_fail=BACK,
        ),
        Gate(
            title="Dev validation gate",
            checks=_validation(candidate, policy),
            patience_s=numbers.traffic_wait_s,
            every_s=policy.metrics.interval_s,
            retries=0,
            on_fail=BACK,
        ),
    )


def _validation(candidate: Candidate, policy: Policy) -> tuple[AnyCheck, ...]:
    """Runbook: Dev promotion gate, as far as it is about this very run. Promotion Criteria: dev → staging."""
    service, numbers = candidate.service, policy.dev
    suites = tuple(suite.name for suite in dev_suites(service, policy))
    is_required = _weight(policy, "suites") is Weight.REQUIRED
    tests = (AutomatedTests(suites, _weight(policy, "suites")),) if suites or is_required else (SmokePassed(),)
    return (
        _ci(candidate),
        *tests,
        *_performance(candidate, policy),
        CleanLogs(service.workloads, numbers.log_patterns, numbers.log_bytes, numbers.log_lines),
        ErrorRate(service.name, policy.metrics.window, numbers.max_error_ratio, numbers.min_requests),
    )


def _performance(candidate: Candidate, policy: Policy) -> tuple[AnyCheck, ...]:
    performance = candidate.service.performance
    if performance is None or not is_loaded(candidate.service, policy):
        return ()
    return (PerformanceKept(performance.target, _weight(policy, "performance")),)


def _ci(candidate: Candidate) -> CiGreen:
    service = candidate.service
    return CiGreen(service.repository, candidate.release.commit, service.required_checks)


def _ending(candidate: Candidate) -> tuple[Step, ...]:
    """Runbook: Development Deployment 6. A GitHub that can't be written to undoes no good deployment: the reason is shown."""
    service = candidate.service
    return (
        MarkValidated(
            title="Mark as dev-validated",
            service=service.name,
            repository=service.repository,
            commit=candidate.release.commit,
            on_fail=CONTINUE,
        ),
        RecordDecision(title="Record the result", result=VALIDATED, on_fail=HOLD),
        Announce(title="Announce the result", moment="validated", on_fail=CONTINUE),
    )


def _about(candidate: Candidate, policy: Policy) -> Mapping[str, Any]:
    service, release, migrations = candidate.service, candidate.release, candidate.migrations
    return {
        "release": to_json(release),
        "repository": service.repository,
        "branch": service.branch,
        "images": [image.reference for image in release.images],
        "changes_url": candidate.changes_url,
        "durations": {
            "observation_s": policy.dev.observation_s,
            "rollout_timeout_s": policy.dev.rollout_timeout_s,
        },
        "criteria": [to_json(row) for row in policy.criteria],
        **about_migrations(migrations),
    }
