"""Runbook: Automatic/Manual Rollback Triggers, as guards with the numbers of the policy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from runbook import series
from runbook.plan import AUTO, Guard, RatioGuard
from runbook.policy import Policy, Threshold
from runbook.rules.completion import LAG


def stable_guards(policy: Policy, without: Collection[str] = ()) -> tuple[Guard, ...]:
    """Critical alerts on what still has most of the traffic: a release may harm the version beside it.

    without: metrics that the service doesn't have.
    """
    return tuple(_critical(policy, "stable", without))


def canary_guards(policy: Policy, without: Collection[str] = ()) -> tuple[Guard, ...]:
    """Critical alerts and core transactions of what is being released."""
    triggers, prod = policy.prod.triggers, policy.prod
    core = Guard(
        name="core transaction success of the canary",
        metric=series.recorded(series.CORE_SUCCESS, policy.metrics.window),
        above=False,
        limit=triggers.core_success,
        for_s=triggers.core_for_s,
        track="canary",
        action=_action(triggers.core_transactions),
        mitigate_s=prod.mitigate_s,
        trigger="core_transactions",
    )
    return (
        *_critical(policy, "canary", without),
        *_oom_loop(policy, without),
        *((core,) if series.CORE_SUCCESS not in without else ()),
    )


def database_guards(policy: Policy, without: Collection[str]) -> tuple[Guard, ...]:
    """Critical alerts and regressions of the whole database, which is of no track; nothing is said where nobody measures it."""
    critical = [threshold for threshold in policy.critical if _of_database(threshold)]
    if all(threshold.metric != LAG.metric for threshold in critical):
        critical.append(LAG)
    watched = (_guard(policy, threshold, threshold.name, "stable") for threshold in critical)
    alerts = (replace(guard, optional=True) for guard in watched)
    missing = {series.recorded(metric, policy.metrics.window) for metric in without}
    return tuple(guard for guard in (*alerts, *regression_guards(policy)) if guard.metric not in missing)


def regression_guards(policy: Policy) -> tuple[Guard, ...]:
    """A migration's regression in performance: of the whole database, so on no track of its own; nothing is said where nobody measures it."""
    triggers = policy.prod.triggers
    limits = (
        ("slow queries", series.DB_SLOW_QUERIES, triggers.slow_queries),
        ("waits for locks", series.DB_LOCK_WAITS, triggers.lock_waits),
    )
    return tuple(
        Guard(
            name=name,
            metric=series.recorded(metric, policy.metrics.window),
            above=True,
            limit=limit,
            for_s=triggers.regression_for_s,
            unit=series.METRICS[metric].unit,
            action=_action(triggers.migration_regression),
            mitigate_s=policy.prod.mitigate_s,
            trigger="migration_regression",
            optional=True,
        )
        for name, metric, limit in limits
    )


def canary_ratio(policy: Policy) -> RatioGuard:
    """The canary's errors against stable's, by a sequential test over the whole roll-out."""
    triggers = policy.prod.triggers
    return RatioGuard(
        name="canary errors against stable's",
        requests=series.recorded(series.REQUEST_RATE, policy.metrics.fast),
        errors=series.recorded(series.ERROR_RATE, policy.metrics.fast),
        ratio=triggers.ratio,
        alpha=triggers.alpha,
        minimum_requests=triggers.minimum_requests,
        floor=triggers.floor,
        design_effect=triggers.design_effect,
        action=_action(triggers.canary_ratio),
        mitigate_s=policy.prod.mitigate_s,
    )


def _oom_loop(policy: Policy, without: Collection[str]) -> tuple[Guard, ...]:
    """Runbook: Critical Alerts, "any sustained OOM restart loop (>3 restarts/10 minutes)". The windows that are recorded lie side by side,
    so that their kills add up. At once: the loop has lasted already. Nothing is said where nobody counts restarts."""
    if series.OOM_KILLS in without:
        return ()
    window = policy.metrics.window
    guard = Guard(
        name="OOM restart loop of the canary",
        metric=f"sum_over_time({series.recorded(series.OOM_KILLS, window)}[10m:{window}])",
        above=True,
        limit=3.0,
        for_s=0.0,
        unit="count",
        track="canary",
        action=_action(policy.prod.triggers.critical_alerts),
        mitigate_s=policy.prod.mitigate_s,
        optional=True,
    )
    return (guard,)


def _critical(policy: Policy, track: str, without: Collection[str]) -> list[Guard]:
    who = "the canary" if track == "canary" else "stable"
    return [
        _guard(policy, threshold, f"{threshold.name} of {who}", track)
        for threshold in policy.critical
        if threshold.metric not in without and not _of_database(threshold)
    ]


def _guard(policy: Policy, threshold: Threshold, name: str, track: str) -> Guard:
    return Guard(
        name=name,
        metric=series.recorded(threshold.metric, policy.metrics.window),
        above=threshold.above,
        limit=threshold.limit,
        for_s=threshold.for_s,
        unit=threshold.unit,
        track=track,
        action=_action(policy.prod.triggers.critical_alerts),
        mitigate_s=policy.prod.mitigate_s,
    )


def _of_database(threshold: Threshold) -> bool:
    return series.METRICS[threshold.metric].section == "database"


def _action(word: str) -> str:
    return AUTO if word == "auto" else word
