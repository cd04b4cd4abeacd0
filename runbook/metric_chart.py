"""The picture beside `/forge metrics`: requests, errors, latency and saturation of the last hour, each with its limit. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from runbook import series
from runbook.charts import MOST_POINTS, Chart, Limit, Line, Panel
from runbook.metric_report import CANARY, STABLE, MetricReport, Points, Sight
from runbook.policy import Policy
from runbook.series import METRICS
from runbook.wording import duration, listing, percent

_SATURATION = {
    series.CPU: "CPU",
    series.MEMORY: "memory",
    series.DISK_SATURATION: "disk",
    series.DB_CONNECTIONS: "PostgreSQL connections",
}
"""With names that a legend has room for."""


def metric_chart(sight: Sight, report: MetricReport, policy: Policy) -> Chart | None:
    """None where nothing was recorded in the last hour: an empty picture says less than words."""
    panels = tuple(panel for panel in _panels(sight, policy) if panel.lines)
    if not panels:
        return None
    where = f"{report.service} in {report.environment}"
    return Chart(f"{where}, the last hour until {report.at:%H:%M} UTC", _alt(where, report), panels)


def _panels(sight: Sight, policy: Policy) -> Iterable[Panel]:
    slo = policy.slo
    critical = [Limit("critical", t.limit, t.above) for t in policy.critical if t.metric == series.ERROR_RATIO]
    yield Panel("Requests per second", "per_s", _lines(sight, (series.REQUEST_RATE,)))
    yield Panel(
        "Error rate", "ratio", _lines(sight, (series.ERROR_RATIO,)), limits=(Limit("target", slo.error_ratio), *critical)
    )  # fmt: skip
    latencies = (series.LATENCY_P50, series.LATENCY_P95, series.LATENCY_P99)
    yield Panel("Latency", "s", _lines(sight, latencies), limits=(Limit("p95 target", slo.latency_p95_s),))
    yield Panel("Saturation", "ratio", _lines(sight, _SATURATION), limits=_saturation_limits(sight, policy))


def _saturation_limits(sight: Sight, policy: Policy) -> tuple[Limit, ...]:
    """One line for each value, named after what it holds for and what is drawn."""
    names: dict[float, list[str]] = {}
    for each in policy.observed:
        if each.above and each.metric in _SATURATION and (each.metric, STABLE) in sight:
            names.setdefault(each.limit, []).append(_SATURATION[each.metric])
    return tuple(Limit(", ".join(names[limit]), limit) for limit in sorted(names))


def _lines(sight: Sight, metrics: Iterable[str]) -> tuple[Line, ...]:
    found = []
    for name in metrics:
        for track in (STABLE, CANARY):
            points = sight[name, track].points if (name, track) in sight else ()
            if points:
                title = _SATURATION.get(name, METRICS[name].title)
                found.append(Line(title if track == STABLE else f"{title}, {track}", thinned(points)))
    return tuple(found)


def thinned(points: Points) -> Points:
    """At most MOST_POINTS, evenly chosen, the newest always among them."""
    if len(points) <= MOST_POINTS:
        return points
    every = -(-len(points) // MOST_POINTS)
    return tuple(reversed(points[::-1][::every]))


def _alt(where: str, report: MetricReport) -> str:
    told = []
    for line in report.lines:
        if line.value is None or line.track != STABLE:
            continue
        if line.metric == series.REQUEST_RATE:
            told.append(f"{line.value:.3g} requests per second")
        elif line.metric in (series.ERROR_RATIO, *_SATURATION):
            told.append(f"{line.title} {percent(round(line.value, 4))}")
        elif line.metric in (series.LATENCY_P50, series.LATENCY_P95, series.LATENCY_P99):
            told.append(f"{line.title} {duration(round(line.value, 3))}")
    return f"{where}: {listing(told)}" if told else f"{where}: nothing is recorded at this moment"
