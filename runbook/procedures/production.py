"""Runbook: Production Deployment. A version that got its go in staging is approved, migrated, and takes over 5 %, 25 % and 100 % of the
traffic under guards; it is watched for an hour, then stable becomes it.

Expand migrations run before any traffic moves; contract migrations are a run of their own after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runbook.criteria import Promotion, criterion
from runbook.jobs import Migration, Stage
from runbook.plan import CONTINUE, HOLD, PROMPT, STOP, Plan, Span, Step, procedure, to_json
from runbook.policy import Policy, Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Request
from runbook.procedures.checklists import post_deployment, pre_deployment
from runbook.procedures.jobs import migration_step, verification_step
from runbook.procedures.preparing import Candidate
from runbook.procedures.promoting import look_at_final
from runbook.procedures.restore import restore_about
from runbook.procedures.triggers import canary_guards, canary_ratio, database_guards, stable_guards
from runbook.rules import unanswered
from runbook.series import Windows
from runbook.steps import (
    Announce,
    Approval,
    ApproversReachable,
    CanaryRatio,
    ChangeWindowOpen,
    CiGreen,
    CleanScan,
    Deployable,
    Divided,
    EndpointsReady,
    ErrorBudgetBurn,
    FinalTag,
    Gate,
    NoFreeze,
    NoOpenIncident,
    NoSustainedAlert,
    Observe,
    OnCallAvailable,
    PhaseErrors,
    PhaseLatency,
    PhaseSample,
    PhasesPassed,
    RecentBackup,
    RecordDecision,
    ReleaseNotes,
    RememberImages,
    RememberSizes,
    RollbackPlan,
    Saturation,
    ShiftTraffic,
    SmokeTest,
    StartCanary,
    TakeOver,
    TrafficDividable,
    divided,
)
from runbook.steps.gates import AnyCheck
from runbook.steps.requests import health_requests
from runbook.values import Environment, Role

NAME = "prod"
ROLLBACK = "rollback"
BACK = procedure(ROLLBACK)
HERE = Environment.PROD


async def production(request: Request, setting: Setting, ports: Ports) -> Prepared:
    """Looks at the final version, then makes the plan; without a plan every obstacle is told at once.

    Raises `runbook.errors` when an outside system gave no answer: that is no refusal.
    """
    final, verdicts = await look_at_final(request, setting, ports)
    plan = None if final is None else production_plan(final, setting.policy)
    return Prepared(plan, verdicts)


def production_plan(final: Candidate, policy: Policy) -> Plan:
    """The runbook's order. Pure: equal arguments give equal plans."""
    return Plan(
        procedure=NAME,
        service=final.service.name,
        environment=HERE,
        version=final.release.version,
        nodes=(
            *_before_effects(final, policy),
            _prepared(final, policy),
            *(_phase(final, policy, weight) for weight in policy.prod.weights),
            _watched(final, policy),
            _taken_over(final, policy),
            RecordDecision(title="Record the release", result="released", on_fail=HOLD),
            Announce(title="Confirm the release", moment="released", on_fail=CONTINUE),
            post_deployment(policy),
        ),
        about=_about(final, policy),
    )


# --- before traffic moves ---------------------------------------------------------------------------------------------


def _before_effects(final: Candidate, policy: Policy) -> tuple[Step, ...]:
    """Production Deployment 1 to 3 and the pre-deployment checklist. What time may change is asked again at the last moment."""
    service = final.service
    return (
        Gate(title="Artifact", checks=_artifact(final, policy), on_fail=STOP),
        Gate(title="Workloads deployable", checks=_deployable(final), on_fail=STOP),
        Gate(title="Ready for production", checks=_readiness(final, policy), on_fail=HOLD),
        Approval(
            title="Ship to production",
            roles=policy.prod.approvers,
            any_of=_either(policy),
            expires_s=policy.waiting.approval_expires_s,
            purpose="deploy",
            on_fail=STOP,
        ),
        pre_deployment(policy),
        Gate(title="Change window, no incident", checks=moment_checks(final, policy), on_fail=HOLD),
        Announce(title="Announce the start", moment="started", on_fail=CONTINUE),
        RememberImages(title="Remember the images that run now", workloads=service.workloads, on_fail=STOP),
        RememberSizes(title="Remember how many replicas run", workloads=service.workloads, on_fail=STOP),
    )


def _either(policy: Policy) -> tuple[tuple[Role, ...], ...]:
    return (policy.prod.approvers_any_of,) if policy.prod.approvers_any_of else ()


def _artifact(final: Candidate, policy: Policy) -> tuple[AnyCheck, ...]:
    service, release = final.service, final.release
    return (
        _tag(final),
        CiGreen(service.repository, release.commit, service.required_checks),
        CleanScan(
            images=release.images,
            repository=service.repository,
            commit=release.commit,
            max_age_s=policy.scans.max_age_s,
            code_scanning=policy.scans.code_scanning,
            weight=criterion(policy.criteria, "scan").weight(Promotion.TO_PROD),
        ),
    )


def _tag(final: Candidate) -> FinalTag:
    return FinalTag(final.service.name, final.service.repository, final.release)


def _deployable(final: Candidate) -> tuple[AnyCheck, ...]:
    service = final.service
    return (Deployable(service.workloads, service.health), TrafficDividable(service.workloads))


def _readiness(final: Candidate, policy: Policy) -> tuple[AnyCheck, ...]:
    """What a requester should learn before anybody is asked to approve."""
    service, release = final.service, final.release
    return (
        ReleaseNotes(service.repository, release.version, release.commit),
        RollbackPlan(service.name, service.workloads, _declared(final)),
        _backup(final, policy),
        OnCallAvailable(),
        ApproversReachable(policy.prod.approvers, _either(policy)),
        NoFreeze(service.name),
        NoOpenIncident(service.name),
    )


def moment_checks(final: Candidate, policy: Policy) -> tuple[AnyCheck, ...]:
    """The last look before anything changes: an approval may be a day old."""
    name = final.service.name
    return (
        ChangeWindowOpen(policy.prod.windows),
        NoFreeze(name),
        NoOpenIncident(name),
        OnCallAvailable(),
        _backup(final, policy),
        _tag(final),
    )


def _backup(final: Candidate, policy: Policy) -> RecentBackup:
    return RecentBackup(
        service=final.service.name,
        max_age_s=policy.prod.backup_max_age_s,
        drill_max_age_s=policy.prod.drill_max_age_s,
        database=final.service.database,
    )


# --- the spans --------------------------------------------------------------------------------------------------------


def _prepared(final: Candidate, policy: Policy) -> Span:
    """Before any traffic: the schema, then the canary's pods."""
    regression = PROMPT if policy.prod.triggers.migration_regression == "prompt" else BACK
    expand = final.migrations.of(Stage.EXPAND)
    schema: tuple[Step, ...] = ()
    if expand:
        schema = (
            *(migration_step(final, migration, policy.jobs, on_fail=BACK) for migration in expand),
            *verification_step(final, policy.jobs, on_fail=regression),
        )
    return Span(
        guards=(*stable_guards(policy, final.service.without), *database_guards(policy, final.service.without)),
        on_breach=ROLLBACK,
        steps=(*schema, _start_canary(final, policy)),
    )


def _start_canary(final: Candidate, policy: Policy) -> StartCanary:
    return StartCanary(
        title="Start the canary",
        targets=_targets(final),
        images=final.release.images,
        weight=policy.prod.weights[0],
        timeout_s=policy.prod.rollout_timeout_s,
        trouble_within_s=policy.prod.trouble_within_s,
        on_fail=BACK,
    )


def _phase(final: Candidate, policy: Policy, weight: int) -> Span:
    """Runbook: Production Deployment 4 and 5. At 100 % stable has no traffic: only the canary can be watched."""
    full = weight == 100
    guards = (
        canary_guards(policy, final.service.without)
        if full
        else (*stable_guards(policy, final.service.without), *canary_guards(policy, final.service.without))
    )
    service = final.service
    return Span(
        guards=(*guards, *database_guards(policy, final.service.without)),
        ratios=(canary_ratio(policy),),
        on_breach=ROLLBACK,
        steps=(
            Announce(title=f"{_name(policy, weight)}: {weight} % of the traffic", moment="phase", on_fail=CONTINUE),
            ShiftTraffic(
                title=f"Shift {weight} % of the traffic",
                targets=_targets(final),
                weight=weight,
                timeout_s=policy.prod.rollout_timeout_s,
                trouble_within_s=policy.prod.trouble_within_s,
                route_timeout_s=policy.prod.route_timeout_s,
                on_fail=BACK,
            ),
            SmokeTest(
                title=f"Health endpoints and user journeys at {weight} %",
                service=service.name,
                base_url=service.urls[HERE],
                requests=(*health_requests(service.health, policy.health.timeout_s), *service.smoke),
                canary_url=service.canary_urls.get(HERE, ""),
                unanswered=unanswered.HOLD,
                on_fail=BACK,
            ),
            _observe(final, policy, f"Observe {weight} %", policy.prod.phase_s),
            Gate(
                title=f"{_name(policy, weight)} gate ({weight} %)",
                checks=_phase_checks(final, policy, weight),
                patience_s=max(0.0, policy.prod.phase_max_s - policy.prod.phase_s),
                every_s=policy.metrics.interval_s,
                retries=0,
                record=f"phase:{weight}",
                on_fail=BACK,
            ),
        ),
    )


def _name(policy: Policy, weight: int) -> str:
    """The runbook's words: canary, ramp, full rollout."""
    if weight == 100:
        return "Full rollout"
    return "Canary" if weight == policy.prod.weights[0] else "Ramp"


def _observe(final: Candidate, policy: Policy, title: str, duration_s: float) -> Observe:
    service = final.service
    return Observe(
        title=title,
        service=service.name,
        base_url=service.urls[HERE],
        duration_s=duration_s,
        health=service.health,
        acceptance=policy.health,
        smoke=service.smoke,
        smoke_every_s=policy.prod.smoke_every_s,
        unanswered=unanswered.HOLD,
        canary_url=service.canary_urls.get(HERE, ""),
        on_fail=BACK,
    )


def _phase_checks(final: Candidate, policy: Policy, weight: int) -> tuple[AnyCheck, ...]:
    """Readiness and liveness, error budget burn, latency, saturation, and the canary against stable."""
    name, numbers, windows = final.service.name, policy.prod, windows_of(policy)
    ratio = canary_ratio(policy)
    return (
        PhaseSample(name, weight, windows.window, numbers.min_requests),
        EndpointsReady(_targets(final), weight, numbers.trouble_within_s),
        PhaseErrors(name, weight, windows.window, numbers.max_error_ratio, numbers.min_requests),
        PhaseLatency(
            name, weight, windows.window, numbers.max_latency_p95_s, numbers.max_over_stable, numbers.min_requests
        ),
        ErrorBudgetBurn(
            service=name,
            long=numbers.burn.long,
            short=numbers.burn.short,
            rate=numbers.burn.rate,
            availability=policy.slo.availability_ratio,
            window=windows.window,
            month=windows.month,
            min_requests=numbers.min_requests,
        ),
        Saturation(name, weight, windows, policy.observed, final.service.without),
        CanaryRatio(name, ratio, policy.metrics.interval_s, numbers.min_requests),
    )


def _watched(final: Candidate, policy: Policy) -> Span:
    """Runbook: Production Deployment 7 and the completion criteria. The previous version still stands at full size."""
    return Span(
        guards=(*canary_guards(policy, final.service.without), *database_guards(policy, final.service.without)),
        ratios=(canary_ratio(policy),),
        on_breach=ROLLBACK,
        steps=(
            _observe(final, policy, "Elevated watch", policy.prod.watch_s),
            Gate(
                title="Completion criteria",
                checks=_completion(final, policy),
                patience_s=policy.prod.phase_max_s,
                every_s=policy.metrics.interval_s,
                retries=0,
                on_fail=HOLD,
            ),
        ),
    )


def _completion(final: Candidate, policy: Policy) -> tuple[AnyCheck, ...]:
    name, windows = final.service.name, windows_of(policy)
    return (
        PhasesPassed(policy.prod.weights),
        NoSustainedAlert(
            service=name,
            window=windows.window,
            warning=policy.warning,
            critical=policy.critical,
            quiet_s=policy.prod.quiet_s,
            interval_s=policy.metrics.interval_s,
            queue_lag_for_s=policy.metrics.queue_lag_for_s,
            baseline=windows.baseline,
            without=final.service.without,
            month=windows.month,
        ),
        Saturation(name, 100, windows, policy.observed, final.service.without),
    )


def _taken_over(final: Candidate, policy: Policy) -> Span:
    """Stable takes the new image and the traffic, and the canary goes; then the users' journeys once more.

    One of the two has the traffic, and the other may have none: both are watched anew, and neither is missed while it has none.
    """
    service = final.service
    changing = tuple(
        replace(guard, name=f"{guard.name}, while stable takes over", optional=True)
        for guard in (*stable_guards(policy, final.service.without), *canary_guards(policy, final.service.without))
    )
    return Span(
        guards=(*changing, *database_guards(policy, final.service.without)),
        on_breach=ROLLBACK,
        steps=(
            TakeOver(
                title="Make it stable",
                targets=_targets(final),
                images=final.release.images,
                timeout_s=policy.prod.rollout_timeout_s,
                trouble_within_s=policy.prod.trouble_within_s,
                route_timeout_s=policy.prod.route_timeout_s,
                on_fail=BACK,
            ),
            SmokeTest(
                title="Health endpoints and user journeys",
                service=service.name,
                base_url=service.urls[HERE],
                requests=(*health_requests(service.health, policy.health.timeout_s), *service.smoke),
                unanswered=unanswered.HOLD,
                on_fail=BACK,
            ),
        ),
    )


def _targets(final: Candidate) -> tuple[Divided, ...]:
    return tuple(divided(workload) for workload in final.service.workloads)


def windows_of(policy: Policy) -> Windows:
    return Windows(policy.metrics.window, policy.metrics.baseline, policy.metrics.month)


def _declared(final: Candidate) -> tuple[Migration, ...]:
    return final.migrations.of(Stage.EXPAND)


def _about(final: Candidate, policy: Policy) -> Mapping[str, Any]:
    service, release, migrations = final.service, final.release, final.migrations
    return {
        "release": to_json(release),
        "repository": service.repository,
        "images": [image.reference for image in release.images],
        "changes_url": final.changes_url,
        "durations": _durations(policy),
        "weights": list(policy.prod.weights),
        "criteria": [to_json(row) for row in policy.criteria],
        "migrations": [
            {
                "name": m.name,
                "stage": m.stage.value,
                "backward_compatible": m.backward_compatible,
                "down": m.down is not None,
            }
            for m in migrations.migrations
        ],
        "migrations_source": migrations.source,
        **restore_about(service),
    }


def _durations(policy: Policy) -> Mapping[str, float]:
    return {
        "phase_s": policy.prod.phase_s,
        "watch_s": policy.prod.watch_s,
        "rollout_timeout_s": policy.prod.rollout_timeout_s,
        "approval_expires_s": policy.waiting.approval_expires_s,
        "mitigate_s": policy.prod.mitigate_s,
        "choice_remind_s": policy.prod.choice_remind_s,
    }
