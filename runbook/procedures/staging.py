"""Runbook: Staging Deployment. A candidate is verified, approved, deployed, observed under guards, and gets its go or goes back."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from runbook import series
from runbook.artifacts import look_at_release
from runbook.errors import Permanent, Temporary
from runbook.plan import CONTINUE, HOLD, STOP, Guard, Plan, Span, Step, procedure, to_json
from runbook.policy import Policy, Service, Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Request
from runbook.rules.versions import check_candidate_name
from runbook.steps import (
    Announce,
    Approval,
    CandidateTag,
    CiGreen,
    Deployable,
    DeployWorkload,
    Gate,
    Observe,
    RecordDecision,
    RememberImages,
    SmokeTest,
    SteadyState,
)
from runbook.steps.requests import health_requests
from runbook.values import Environment, Release
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import listing

NAME = "staging"
RETURN = "return_to_previous"
BACK = procedure(RETURN)


async def staging(request: Request, setting: Setting, ports: Ports) -> Prepared:
    """Looks at the candidate, then makes the plan; without a plan every obstacle is told at once.

    Raises `runbook.errors` when an outside system gave no answer: that is no refusal.
    """
    service = setting.services.get(request.service)
    if service is None:
        return Prepared(None, (_unknown_service(request.service, setting),))
    configured = _check_service(service, ports)
    name = await _check_name(request.version, service, ports)
    if name.outcome != Outcome.PASS:
        return Prepared(None, (name, *configured))
    release, found = await look_at_release(ports, service, request.version)
    verdicts = (name, *configured, *found)
    if release is None or any(verdict.outcome != Outcome.PASS for verdict in verdicts):
        return Prepared(None, verdicts)
    changes_url = await _changes_url(service, release, ports)
    return Prepared(staging_plan(service, release, setting.policy, changes_url), verdicts)


def staging_plan(service: Service, release: Release, policy: Policy, changes_url: str) -> Plan:
    """The runbook's order. Pure: equal arguments give equal plans."""
    return Plan(
        procedure=NAME,
        service=service.name,
        environment=Environment.STAGING,
        version=release.version,
        nodes=(
            *_before_effects(service, release, policy),
            Span(guards=_guards(policy), on_breach=RETURN, steps=_guarded(service, release, policy)),
            RecordDecision(title="Record the result", result="go", on_fail=HOLD),
            Announce(title="Announce the result", moment="completed", on_fail=CONTINUE),
        ),
        about=_about(service, release, policy, changes_url),
    )


def _guarded(service: Service, release: Release, policy: Policy) -> tuple[Step, ...]:
    """From the first effect to the go, waits included."""
    numbers = policy.staging
    base_url = service.urls[Environment.STAGING]
    images_by_workload = zip(service.workloads, release.images, strict=True)
    health = health_requests(service.health, policy.health.timeout_s)
    deployments: tuple[Step, ...] = tuple(
        DeployWorkload(
            title=f"Deploy {workload.name}",
            image=image,
            timeout_s=numbers.rollout_timeout_s,
            trouble_within_s=numbers.trouble_within_s,
            on_fail=BACK,
        )
        for workload, image in images_by_workload
    )
    return (
        *deployments,
        SmokeTest(
            title="Smoke tests",
            service=service.name,
            base_url=base_url,
            requests=(*health, *service.smoke),
            on_fail=BACK,
        ),
        Observe(
            title="Observe key metrics and health",
            service=service.name,
            base_url=base_url,
            duration_s=numbers.observation_s,
            health=service.health,
            acceptance=policy.health,
            smoke=service.smoke,
            smoke_every_s=numbers.smoke_every_s,
            on_fail=BACK,
        ),
        Gate(
            title="Staging acceptance",
            checks=(_steady_state(service, policy),),
            patience_s=numbers.traffic_wait_s,
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


def _before_effects(service: Service, release: Release, policy: Policy) -> tuple[Step, ...]:
    """Everything that can refuse the release does so while nothing has changed yet."""
    return (
        Gate(title="Release candidate", checks=(CandidateTag(service.repository, release),), on_fail=STOP),
        Gate(
            title="CI green",
            checks=(CiGreen(service.repository, release.commit, service.required_checks),),
            patience_s=policy.staging.ci_wait_s,
            retries=0,
            on_fail=STOP,
        ),
        Gate(title="Workloads deployable", checks=(Deployable(service.workloads, service.health),), on_fail=STOP),
        Approval(
            title="Deploy to staging",
            roles=policy.staging.approvers,
            expires_s=policy.waiting.approval_expires_s,
            purpose="deploy",
            on_fail=STOP,
        ),
        RememberImages(title="Remember the images that run now", workloads=service.workloads, on_fail=STOP),
    )


def _steady_state(service: Service, policy: Policy) -> SteadyState:
    return SteadyState(
        service=service.name,
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


def _about(service: Service, release: Release, policy: Policy, changes_url: str) -> Mapping[str, Any]:
    return {
        "release": to_json(release),
        "repository": service.repository,
        "images": [image.reference for image in release.images],
        "changes_url": changes_url,
        "durations": {
            "observation_s": policy.staging.observation_s,
            "rollout_timeout_s": policy.staging.rollout_timeout_s,
            "approval_expires_s": policy.waiting.approval_expires_s,
        },
    }


# --- looking around ---------------------------------------------------------------------------------------------------


async def _check_name(version: str, service: Service, ports: Ports) -> Verdict:
    """A wrong name is refused also when GitHub doesn't say which names would be right."""
    verdict = check_candidate_name(version, ())
    if verdict.outcome == Outcome.PASS:
        return verdict
    try:
        return check_candidate_name(version, await ports.code.tag_names(service.repository, "v"))
    except (Temporary, Permanent):
        return verdict


def _unknown_service(name: str, setting: Setting) -> Verdict:
    known = sorted(setting.services)
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"Did you mean {near[0]}?" if near else f"Configured: {listing(known) or 'none'}"
    return Verdict.failed("service", "service.unknown", f"no service {name} is configured", remedy=remedy)


def _check_service(service: Service, ports: Ports) -> tuple[Verdict, ...]:
    """What the configuration must say of a service for staging; empty when nothing is missing."""
    verdicts = []
    here = Environment.STAGING
    if not service.urls.get(here):
        reason = f"{service.name} has no address in staging: nothing can be smoke-tested"
        verdicts.append(_unfit("service.no_url", reason, f"Set services.{service.name}.urls.staging"))
    if not service.workloads:
        remedy = f"Name its Deployments under services.{service.name}.workloads"
        verdicts.append(_unfit("service.no_workload", f"{service.name} has no workloads", remedy))
    if not any(request.token for request in service.smoke):
        reason = f"{service.name} has no authenticated transaction among its smoke requests; the runbook asks for one"
        remedy = f"Add a request with `token` to services.{service.name}.smoke"
        verdicts.append(_unfit("service.no_transaction", reason, remedy))
    if here not in ports.clusters:
        verdicts.append(_unfit("environment.no_cluster", "staging has no cluster", "Configure environments.staging"))
    if here not in ports.metrics:
        remedy = "Configure Prometheus for environments.staging"
        verdicts.append(_unfit("environment.no_metrics", "staging has no metrics", remedy))
    return tuple(verdicts)


def _unfit(code: str, reason: str, remedy: str) -> Verdict:
    return Verdict.failed("configuration", code, reason, Evidence(name="configured", value=None), remedy=remedy)


async def _changes_url(service: Service, release: Release, ports: Ports) -> str:
    """Against the last candidate that got its go; empty when none did, or when it is this very commit."""
    last = await ports.memory.last_go(service.name, Environment.STAGING)
    if last is None or last.commit == release.commit:
        return ""
    return ports.code.compare_url(service.repository, last.version, release.version)
