"""Which recorded series are missing, of each service in one environment, and how they come to be there. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping

from bot.checks.findings import Finding, fail, ok, warn
from bot.checks.series_sources import OF_RATE, SOURCES
from runbook.policy import MetricsPolicy, Service, Setting, prod_windows
from runbook.ports import Metrics
from runbook.rules.idle import QUIET
from runbook.series import METRICS, SHIPPED, Windows, recorded_as, recorded_beside
from runbook.values import Environment

Found = Mapping[str, Mapping[str, float]]
"""Metric (or the name of a rule that records one once more) -> service -> its greatest value now."""


async def check_series(env: Environment, metrics: Metrics, setting: Setting) -> AsyncIterator[Finding]:
    """Prometheus answers and records the series that gates and guards read: one query a metric, however many services there are."""
    await metrics.query("vector(1)")
    yield ok(f"{env}.prometheus", "Prometheus answers")
    windows = windows_of(setting.policy.metrics)
    beside = recorded_beside(prod_windows(setting.policy)) if env is Environment.PROD else {}
    names = {**{metric: recorded_as(metric, windows) for metric in SHIPPED}, **{name: name for name in beside}}
    answers = await asyncio.gather(*(_now(metrics, name, env) for name in names.values()))
    found = dict(zip(names, answers, strict=True))
    for service in setting.services.values():
        if env in service.urls:
            check = f"{env}.{service.name}.series"
            for finding in (
                *judge_series(check, service, found, windows),
                *judge_beside(check, service, found, beside),
            ):
                yield finding


async def _now(metrics: Metrics, name: str, env: Environment) -> dict[str, float]:
    answer = await metrics.query(f'max by (service) ({name}{{env="{env}"}})')
    return {series.labels.get("service", ""): series.samples[-1].value for series in answer if series.samples}


def judge_series(check: str, service: Service, found: Found, windows: Windows) -> Iterator[Finding]:
    """Metrics that the service is configured to do without are not missed."""
    asked = [metric for metric in SHIPPED if metric not in service.without]
    missing = [metric for metric in asked if service.name not in found[metric]]
    recent = [metric for metric in asked if metric not in METRICS or METRICS[metric].over == "window"]
    if not missing:
        yield ok(check, f"all {len(asked)} series are there")
    elif set(recent) <= set(missing):
        names = _names(missing, windows)
        remedy = "Load what `forge rules` prints into Prometheus, and see that the service is scraped with these labels"
        yield fail(check, f"nothing is recorded now: no samples of {names}", remedy)
    else:
        yield from _by_source(check, service, missing, found, windows)


def judge_beside(check: str, service: Service, found: Found, beside: Mapping[str, str]) -> Iterator[Finding]:
    """beside: names of rules -> their metric. What is missing with its metric is told there; without it, it is the rules that are old."""
    there = [name for name, metric in beside.items() if service.name in found[metric] and metric not in service.without]
    if missing := [name for name in there if service.name not in found[name]]:
        remedy = (
            "Load what `forge rules` prints again: it records them now. A service's own error_ratio needs $window in it"
        )
        yield warn(check, f"no samples now of {', '.join(missing)}: production waits for them at each weight", remedy)


def _by_source(check: str, service: Service, missing: list[str], found: Found, windows: Windows) -> Iterator[Finding]:
    silent = [metric for metric in missing if found[OF_RATE.get(metric, metric)].get(service.name) == 0]
    quiet = [metric for metric in silent if metric in QUIET and not QUIET[metric].needed]
    idle = [metric for metric in silent if metric not in quiet]
    if quiet:
        yield ok(
            check, f"nothing happened in the last {windows.window} for {_names(quiet, windows)}: no gate waits for it"
        )
    if idle:
        text = f"no samples now of {_names(idle, windows)}: there was no traffic in the last {windows.window}"
        yield warn(check, text, "Send some, or look again when there is: without traffic the gates have no data")
    for source in SOURCES:
        absent = [metric for metric in source.metrics if metric in missing and metric not in silent]
        if absent:
            remedy = f"{source.remedy}; or give the service an expression of its own, or name in `without` what it doesn't have"
            yield warn(check, f"no samples now of {_names(absent, windows)}", remedy)


def _names(metrics: list[str], windows: Windows) -> str:
    return ", ".join(recorded_as(metric, windows) for metric in metrics)


def windows_of(policy: MetricsPolicy) -> Windows:
    return Windows(policy.window, policy.baseline, policy.month)
