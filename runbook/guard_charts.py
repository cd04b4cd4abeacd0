"""Charts of what a guard saw: its metric against its limit, or the canary's error ratio beside stable's. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from runbook.charts import Chart, Limit, Line, Panel
from runbook.metric_chart import thinned
from runbook.plan import Guard, RatioGuard
from runbook.ports import Sample
from runbook.rules.guards import watch_words
from runbook.rules.ratio_watch import Rates, RatioSample
from runbook.wording import measure, percent

Points = tuple[tuple[float, float], ...]


def guard_chart(guard: Guard, where: str, samples: Iterable[Sample], at: datetime) -> Chart | None:
    """None where nothing was recorded. where: such as `shop in prod`."""
    points = thinned(tuple((s.at.timestamp(), s.value) for s in samples))
    values = [value for _, value in points if math.isfinite(value)]
    if not values:
        return None
    worst = max(values) if guard.above else min(values)
    alt = (
        f"{where}, {guard.name}: at worst {_told(worst, guard)}, {_told(values[-1], guard)} at {at:%H:%M} UTC; "
        f"watched for: {watch_words(guard)}"
    )
    limit = Limit("limit", guard.limit, guard.above)
    panel = Panel(guard.name[:1].upper() + guard.name[1:], guard.unit, (Line(guard.name, points),), limits=(limit,))
    return Chart(f"{where}: {guard.name}", alt, (panel,))


def ratio_chart(guard: RatioGuard, where: str, samples: Sequence[RatioSample], at: datetime) -> Chart | None:
    """Both tracks' error ratios over time. None where neither had requests."""
    lines = tuple(
        Line(name, points)
        for name, rates in (
            ("canary", [(s.at, s.canary) for s in samples]),
            ("stable", [(s.at, s.stable) for s in samples]),
        )
        if (points := _ratios(rates))
    )
    if not lines:
        return None
    told = [f"{line.name} {percent(round(line.points[-1][1], 4))}" for line in lines]
    baseline = _mean([s.stable for s in samples])
    limits = () if baseline is None else (Limit("limit", max(guard.ratio * baseline, guard.floor)),)
    alt = f"{where}, error rate at {at:%H:%M} UTC: {' and '.join(told)}; the canary may fail at most {guard.ratio:g} times as often as stable"
    panel = Panel("Error rate of canary and stable", "ratio", lines, limits=limits)
    return Chart(f"{where}: canary against stable", alt, (panel,))


def _told(value: float, guard: Guard) -> str:
    return measure(round(value, 4), guard.unit)


def _ratios(rates: Iterable[tuple[datetime, Rates]]) -> Points:
    found = []
    for at, rate in rates:
        if isinstance(rate.requests, float | int) and isinstance(rate.errors, float | int) and rate.requests > 0:
            found.append((at.timestamp(), min(1.0, rate.errors / rate.requests)))
    return thinned(tuple(found))


def _mean(rates: Iterable[Rates]) -> float | None:
    counts = [counts for rate in rates if (counts := rate.over(1.0)) is not None]
    requests = sum(c.requests for c in counts)
    return sum(c.errors for c in counts) / requests if requests > 0 else None
