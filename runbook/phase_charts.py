"""The pictures of one weight: errors and latency of the canary beside stable's, with their limits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from runbook.charts import MOST_POINTS, Chart, Limit, Line, Panel
from runbook.ports import Series
from runbook.rules.phases import CANARY, STABLE
from runbook.series import recorded
from runbook.wording import measure

BEFORE_S = 60.0
"""So much from before the weight is shown, too: what changed by it is the point."""


def both_query(metric: str, service: str, env: str, window: str) -> str:
    return f'{recorded(metric, window)}{{service="{service}",env="{env}"}}'


def step_of(length_s: float) -> float:
    """Seconds between two points: whole ones, and no more points than a line may have."""
    return float(max(1, -(-round(length_s) // (MOST_POINTS - 1))))


def phase_chart(
    title: str, what: str, unit: str, answer: Sequence[Series], limit: Limit, begun: datetime
) -> Chart | None:
    """Both tracks' lines over time; None where neither has a point. what: the metric in words, for the picture and its text."""
    lines = tuple(line for track in (CANARY, STABLE) if (line := _line(answer, track)) is not None)
    if not lines:
        return None
    panel = Panel(what[:1].upper() + what[1:], unit, lines, limits=(limit,))
    return Chart(title, _alt(title, what, unit, lines, limit, begun), (panel,))


def _line(answer: Iterable[Series], track: str) -> Line | None:
    found = [series for series in answer if series.labels.get("track", STABLE) == track]
    if len(found) != 1 or not found[0].samples:
        return None
    points = tuple((sample.at.timestamp(), sample.value) for sample in found[0].samples[-MOST_POINTS:])
    return Line(track, points)


def _alt(title: str, what: str, unit: str, lines: Sequence[Line], limit: Limit, begun: datetime) -> str:
    told = []
    for line in lines:
        values = [value for _, value in line.points if value == value]
        if values:
            last, most = measure(_round(values[-1]), unit), measure(_round(max(values)), unit)
            told.append(f"{line.name} {last} now, {most} at most")
    lasting = f"since {begun:%H:%M:%S} UTC"
    return f"{title}: {what} {lasting}: {'; '.join(told) or 'no values'}; {limit.name} {measure(limit.value, unit)}"


def _round(value: float) -> float:
    return float(f"{value:.3g}")
