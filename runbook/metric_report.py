"""What `/forge metrics` says of one service: every recorded metric now and in the last hour, limits, targets, what is missing. Pure.

Runbook: Key Metrics and SLO-Aligned Targets, Alert Rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from runbook import series
from runbook.policy import Policy, Service, Threshold
from runbook.ports import Series
from runbook.rules.dependencies import TimeoutLimits
from runbook.rules.idle import QUIET
from runbook.series import METRICS, Windows, recorded_as
from runbook.values import Environment

HISTORY_S = 3600.0
STEP_S = 15.0
"""The last hour in 241 points of a line."""
BUCKETS = 12
"""Of the history in a line of text: five minutes each."""
STABLE, CANARY = "stable", "canary"

Level = Literal["critical", "warning", "limit"]
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A limit of a metric. level: `critical` and `warning` are alerts after `for_s`; `limit` counts over an observation.

    crossed: now; None while there is no value.
    """

    level: Level
    above: bool
    limit: float
    for_s: float
    crossed: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricLine:
    """One metric of one track. value: now, or None: then `trouble` says why. history: means of equal parts of the last hour, oldest first;
    None where nothing was recorded. own: forge measured it itself, because Prometheus has nothing of now."""

    metric: str
    title: str
    unit: str
    section: str
    track: str
    value: float | None
    trouble: str
    history: tuple[float | None, ...]
    bounds: tuple[Bound, ...]
    own: bool = False

    @property
    def level(self) -> Level | None:
        """The worst bound that is crossed."""
        crossed = {bound.level for bound in self.bounds if bound.crossed}
        order: tuple[Level, ...] = ("critical", "warning", "limit")
        return next((level for level in order if level in crossed), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A service level objective. at_least: the value has to be; else it has to be under `limit`. over: of which time the value is.

    kept: None while there is no value.
    """

    title: str
    unit: str
    at_least: bool
    limit: float
    value: float | None
    over: str
    kept: bool | None


@dataclass(frozen=True, kw_only=True)
class MetricReport:
    """lines: in the catalogue's order, a canary's line under the stable one's. missing: metrics without any series in the last hour.

    window: the recording rules' (`1m`). without: what the service doesn't have by configuration. All of them are metrics' names. trouble: why
    Prometheus told nothing, so that only what forge measured is shown and nothing is said to be missing; empty: it answered.
    """

    service: str
    environment: str
    at: datetime
    windows: Windows
    targets: tuple[Target, ...]
    lines: tuple[MetricLine, ...]
    missing: tuple[str, ...]
    without: tuple[str, ...]
    remedy: str
    trouble: str = ""


# --- what is asked ----------------------------------------------------------------------------------------------------


def windows_of(policy: Policy) -> Windows:
    return Windows(policy.metrics.window, policy.metrics.baseline, policy.metrics.month)


def wanted_metrics(service: Service) -> tuple[str, ...]:
    return tuple(name for name in METRICS if name not in service.without)


def report_query(service: Service, environment: Environment, windows: Windows) -> str:
    """PromQL for a range: every metric of both tracks in one question, so that what is shown is of one moment."""
    names = "|".join(recorded_as(name, windows) for name in wanted_metrics(service))
    return f'{{__name__=~"{names}",service="{service.name}",env="{environment.value}"}}'


# --- what came back ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """One metric of one track in the last hour. points: the numbers among its samples. value: the newest, if it is one of now. own: forge
    measured it itself."""

    points: Points = ()
    value: float | None = None
    trouble: str = ""
    own: bool = False


Sight = Mapping[tuple[str, str], Seen]
"""By (metric's name, track)."""


def read_series(answer: Iterable[Series], end: datetime, windows: Windows) -> Sight:
    """NaN and infinity are no numbers; two series where one is expected are nobody's value."""
    names = {recorded_as(name, windows): name for name in METRICS}
    found: dict[tuple[str, str], list[Series]] = {}
    for each in answer:
        name = names.get(each.labels.get("__name__", ""))
        if name is not None and each.samples:
            found.setdefault((name, each.labels.get("track", STABLE)), []).append(each)
    return {key: _seen(several, end) for key, several in found.items()}


def beside(sight: Sight, measured: Sight) -> Sight:
    """With what forge measured itself, where Prometheus has no value of now."""
    own = {
        key: replace(seen, own=True)
        for key, seen in measured.items()
        if seen.value is not None and (key not in sight or sight[key].value is None)
    }
    return {**sight, **own}


def _seen(several: Sequence[Series], end: datetime) -> Seen:
    if len(several) > 1:
        return Seen(trouble=f"{len(several)} series where one is expected")
    samples = several[0].samples
    points = tuple((s.at.timestamp(), s.value) for s in samples if math.isfinite(s.value))
    newest = samples[-1]
    if newest.at < end - timedelta(seconds=1.5 * STEP_S):
        return Seen(points, trouble=f"nothing since {newest.at:%H:%M} UTC")
    if not math.isfinite(newest.value):
        return Seen(points, trouble="not a number now")
    return Seen(points, newest.value)


def _is_idle(name: str, sight: Sight) -> bool:
    """A ratio has rightly no value while nothing happens that it could be a part of: its rates are recorded, and 0."""
    quiet = QUIET.get(name)
    rates = [sight.get((rate, STABLE)) for rate in quiet.rates] if quiet is not None else []
    return bool(rates) and all(seen is not None and all(value == 0 for _, value in seen.points) for seen in rates)


def make_report(
    sight: Sight,
    at: datetime,
    service: Service,
    environment: Environment,
    policy: Policy,
    *,
    trouble: str = "",
    remedy: str = "",
) -> MetricReport:
    """trouble, remedy: why Prometheus told nothing; see `MetricReport`."""
    windows = windows_of(policy)
    wanted = wanted_metrics(service)
    lines = [
        _line(name, track, sight[name, track], sight, at, policy)
        for name in wanted
        for track in (STABLE, CANARY)
        if (name, track) in sight
    ]
    missing = tuple(name for name in wanted if (name, STABLE) not in sight and not _is_idle(name, sight))
    missing = () if trouble else missing
    return MetricReport(
        service=service.name,
        environment=environment.value,
        at=at,
        windows=windows,
        targets=slo_targets(sight, policy),
        lines=tuple(lines),
        missing=missing,
        without=tuple(name for name in service.without if name in METRICS),
        remedy=remedy if trouble else _remedy(service.name, missing),
        trouble=trouble,
    )


def _remedy(service: str, missing: tuple[str, ...]) -> str:
    if not missing:
        return ""
    return (
        "Load the rules that `forge rules` prints, let Prometheus scrape what they are made of (`forge doctor` looks), or list "
        f"what {service} doesn't have in services.{service}.without"
    )


def _line(name: str, track: str, seen: Seen, sight: Sight, at: datetime, policy: Policy) -> MetricLine:
    metric = METRICS[name]
    return MetricLine(
        metric=name,
        title=metric.title,
        unit=metric.unit,
        section=metric.section,
        track=track,
        value=seen.value,
        trouble=seen.trouble,
        history=history(seen.points, at),
        bounds=_bounds(name, seen.value, sight, policy),
        own=seen.own,
    )


def history(points: Points, at: datetime) -> tuple[float | None, ...]:
    """Means of BUCKETS equal parts of the hour before `at`."""
    begun, length = at.timestamp() - HISTORY_S, HISTORY_S / BUCKETS
    parts: list[list[float]] = [[] for _ in range(BUCKETS)]
    for moment, value in points:
        if (
            -STEP_S < moment - begun < HISTORY_S + STEP_S
        ):  # Prometheus rounds to milliseconds: the ends lie a little outside
            parts[max(0, min(BUCKETS - 1, int((moment - begun) // length)))].append(value)
    return tuple(_mean(part) for part in parts)


def _mean(values: Sequence[float]) -> float | None:
    if not values:
        return None
    # Each part divided, and held between its ends: no sum of finite values becomes infinite.
    return max(min(values), min(max(values), sum(value / len(values) for value in values)))


def _bounds(name: str, value: float | None, sight: Sight, policy: Policy) -> tuple[Bound, ...]:
    levels: tuple[tuple[Level, tuple[Threshold, ...]], ...] = (
        ("warning", policy.warning), ("critical", policy.critical), ("limit", policy.observed),
    )  # fmt: skip
    bounds = [
        _bound(level, each.above, each.limit, each.for_s, value)
        for level, thresholds in levels
        for each in thresholds
        if each.metric == name
    ]
    normal = {
        series.QUEUE_LAG: series.QUEUE_LAG_BASELINE, series.DEPENDENCY_TIMEOUTS: series.DEPENDENCY_TIMEOUTS_BASELINE,
    }.get(name)  # fmt: skip
    baseline = sight.get((normal, STABLE), Seen()).value if normal else None
    if baseline is not None and name == series.QUEUE_LAG:
        bounds.append(_bound("warning", True, baseline, policy.metrics.queue_lag_for_s, value))
    elif baseline is not None:
        numbers = policy.metrics
        limits = TimeoutLimits(over=numbers.dependency_timeouts_over, floor=numbers.dependency_timeouts_floor)
        bounds.append(_bound("limit", True, limits.limit(baseline), 0.0, value))
    return tuple(bounds)


def _bound(level: Level, above: bool, limit: float, for_s: float, value: float | None) -> Bound:
    crossed = None if value is None else value > limit if above else value < limit
    return Bound(level=level, above=above, limit=limit, for_s=for_s, crossed=crossed)


def summary(report: MetricReport) -> str:
    """One sentence or two, for a phone's notification: targets kept, limits crossed, series missing."""
    if report.trouble:
        own = f"what forge measured itself: {len(report.lines)} of its database's metrics"
        return f"{report.service} in {report.environment} at {report.at:%H:%M} UTC: {report.trouble}. Shown is {own}."
    known = [target for target in report.targets if target.kept is not None]
    kept = sum(1 for target in known if target.kept)
    told = [f"{kept} of {len(report.targets)} targets kept"]
    if len(known) < len(report.targets):
        told[0] += f" ({len(report.targets) - len(known)} unknown)"
    for level, words in (("critical", "beyond a critical threshold"), ("warning", "beyond a warning threshold"),
                         ("limit", "beyond a limit")):  # fmt: skip
        count = sum(1 for line in report.lines if line.level == level)
        told += [f"{count} {words}"] if count else []
    if report.missing:
        told.append(f"{len(report.missing)} series missing")
    return f"{report.service} in {report.environment} at {report.at:%H:%M} UTC: {', '.join(told)}."


# --- targets ----------------------------------------------------------------------------------------------------------


def slo_targets(sight: Sight, policy: Policy) -> tuple[Target, ...]:
    """Runbook: Suggested SLO Targets. Error rate and latency are those of the last hour, of the stable track."""
    slo, month = policy.slo, policy.metrics.month
    availability = sight.get((series.AVAILABILITY, STABLE), Seen()).value
    p95_s = _mean([value for _, value in sight.get((series.LATENCY_P95, STABLE), Seen()).points])
    return (
        _target(
            "availability", "ratio", availability, slo.availability_ratio, month, at_least=True
        ),
        _target("API p95 latency", "s", p95_s, slo.latency_p95_s, "the last hour"),
        _target("error rate", "ratio", _error_ratio(sight), slo.error_ratio, "the last hour"),
    )  # fmt: skip


def _target(
    title: str, unit: str, value: float | None, limit: float, over: str, *, at_least: bool = False
) -> Target:  # fmt: skip
    kept = None if value is None else value >= limit if at_least else value < limit
    return Target(title=title, unit=unit, at_least=at_least, limit=limit, value=value, over=over, kept=kept)


def _error_ratio(sight: Sight) -> float | None:
    """Failed requests of all requests: a mean of ratios would give a quiet minute a busy one's weight."""
    requests = dict(sight.get((series.REQUEST_RATE, STABLE), Seen()).points)
    errors = dict(sight.get((series.ERROR_RATE, STABLE), Seen()).points)
    both = requests.keys() & errors.keys()
    total, failed = sum(requests[moment] for moment in both), sum(errors[moment] for moment in both)
    return failed / total if 0 < total < math.inf and failed < math.inf else None
