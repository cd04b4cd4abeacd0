"""What Prometheus has recorded of production: counters of stable and canary that follow the router's weights, on simulated time.

It answers the shapes of PromQL that the product asks, and refuses any other: a query that nobody thought of must not look healthy.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from itertools import pairwise
from math import ceil
from typing import Any

from runbook import series
from runbook.errors import ForgeError
from runbook.ports import Sample, Series
from runbook.rules.ratio_watch import on_grid
from tests.fakes.clock import NOON
from tests.runbook.fake_traffic import Write

STABLE, CANARY = "stable", "canary"
LONG_BEFORE = NOON - timedelta(days=40)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

ALWAYS: Mapping[str, float] = {
    series.READINESS_RATIO: 1.0, series.CORE_SUCCESS: 0.999, series.CORE_RATE: 50.0, series.JOB_FAILURE_RATIO: 0.001,
    series.JOB_SUCCESS_RATE: 5.0, series.JOB_FAILURE_RATE: 0.005, series.QUEUE_DEPTH: 3.0, series.QUEUE_LAG: 1.0, series.CPU: 0.4,
    series.MEMORY: 0.5, series.OOM_KILLS: 0.0, series.RESTARTS: 0.0,
}  # fmt: skip
"""Of both tracks, as long as they have pods."""

SHARED: Mapping[str, float] = {
    series.DB_CONNECTIONS: 0.3, series.DB_REPLICATION_LAG: 0.5, series.DB_SLOW_QUERIES: 1.0, series.DB_LOCK_WAITS: 0.0,
    series.AVAILABILITY: 0.9996, series.QUEUE_LAG_BASELINE: 5.0,
}  # fmt: skip
"""Of the service as a whole: recorded as stable's."""

LATENCY: Mapping[str, float] = {series.LATENCY_P50: 0.05, series.LATENCY_P95: 0.12, series.LATENCY_P99: 0.2}

Value = float | None
Values = dict[str, float]
"""track -> number; `` for both together."""

Trouble = Callable[[str, datetime], Any]
"""(expression, moment) -> HEALTHY, a number for every track, several series' numbers, None for no series, or an error to raise."""

HEALTHY = object()

_NAME = re.compile(r"forge:(\w+):(\w+)(\{[^}]*\})?")
_OVER = re.compile(r"(avg|sum|max|min|last|count)_over_time\((forge:\w+:\w+(?:\{[^}]*\})?)\[(\w+?)(?::(\w+))?\]\)")


@dataclass(frozen=True)
class Spoilt:
    """From `since` until `until` this metric of this track says `value`; None: nothing."""

    metric: str
    track: str
    value: Value
    since: datetime
    until: datetime

    def concerns(self, metric: str, track: str, at: datetime) -> bool:
        return metric == self.metric and track == self.track and self.since <= at < self.until


@dataclass
class TwoTracks:
    """Fulfils `Metrics`. moved: the cluster's writes, which tell the weights. rps: requests a second to both tracks together.

    error_ratios: track -> [(since, ratio)]. unreached: from when to when no request reaches the canary whatever its weight. has_zero: a
    canary without requests is recorded as 0, else not at all.
    """

    now: Callable[[], datetime]
    moved: list[Write]
    rps: float = 2000.0
    service: str = "shop"
    error_ratios: dict[str, list[tuple[datetime, float]]] = field(
        default_factory=lambda: {STABLE: [(LONG_BEFORE, 0.001)], CANARY: [(LONG_BEFORE, 0.001)]}
    )
    unreached: list[tuple[datetime, datetime]] = field(default_factory=list)
    has_zero: bool = True
    spoilt: list[Spoilt] = field(default_factory=list)
    trouble: Trouble = lambda expression, at: HEALTHY
    ranges: list[tuple[str, datetime, datetime]] = field(default_factory=list)

    # --- what goes wrong ------------------------------------------------------------------------------------------------

    def fails(self, track: str, ratio: float, since: datetime | None = None) -> None:
        """From now on (or since then) so many of this track's requests fail."""
        self.error_ratios[track].append((since or self.now(), ratio))

    def unreach(self, since: datetime, until: datetime) -> None:
        self.unreached.append((since, until))

    def says(
        self,
        metric: str,
        value: Value,
        track: str = CANARY,
        *,
        since: datetime | None = None,
        for_s: float = 1e9,
    ) -> None:
        since = since or self.now()
        self.spoilt.append(Spoilt(metric, track, value, since, since + timedelta(seconds=min(for_s, 1e9))))

    # --- the port -------------------------------------------------------------------------------------------------------

    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]:
        moment = at or self.now()
        return tuple(Series(labels, (Sample(moment, value),)) for labels, value in self._answer(expression, moment))

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        self.ranges.append((expression, start, end))
        found: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
        labelled: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
        for place in range(int((end - start).total_seconds() // step_s) + 1):
            at = start + timedelta(seconds=place * step_s)
            for labels, value in self._answer(expression, at):
                key = tuple(sorted(labels.items()))
                labelled[key] = labels
                found.setdefault(key, []).append(Sample(at, value))
        return tuple(Series(labelled[key], tuple(samples)) for key, samples in found.items())

    def _answer(self, expression: str, at: datetime) -> list[tuple[dict[str, str], float]]:
        healthy = self._of(expression.strip(), at)
        odd = self.trouble(expression, at)
        if odd is HEALTHY:
            return [(self._labels(track), value) for track, value in healthy.items()]
        if isinstance(odd, ForgeError):
            raise odd
        numbers = [] if odd is None else odd if isinstance(odd, list) else [odd]
        tracks = list(healthy) or [CANARY]
        return [
            ({**self._labels(track), "copy": str(copy)}, value)
            for track in tracks
            for copy, value in enumerate(numbers)
        ]

    def _labels(self, track: str) -> dict[str, str]:
        return {"service": self.service, "env": "prod", "track": track} if track else {}

    # --- PromQL ---------------------------------------------------------------------------------------------------------

    def _of(self, text: str, at: datetime) -> Values:
        """The instant vector of one of the shapes that the product asks."""
        if " and " in text:
            left, _, right = text.partition(" and ")
            kept = self._of(right, at)
            return {track: value for track, value in self._of(left, at).items() if track in kept}
        if found := re.fullmatch(r"(.*) >= ([\d.]+)", text):
            return {track: value for track, value in self._of(found[1], at).items() if value >= float(found[2])}
        if found := re.fullmatch(r"(sum\(.*\)) / \((sum\(.*\)) > 0\)", text):
            above, below = self._of(found[1], at), self._of(found[2], at)
            return {track: above.get(track, 0.0) / value for track, value in below.items() if value > 0}
        if found := re.fullmatch(r"round\((.*)\)", text):
            return {track: float(round(value)) for track, value in self._of(found[1], at).items()}
        if found := re.fullmatch(r"(.*) \* ([\d.]+)", text):
            return {track: value * float(found[2]) for track, value in self._of(found[1], at).items()}
        if found := re.fullmatch(r"sum\((.*)\)", text):
            each = self._of(found[1], at)
            return {"": sum(each.values())} if each else {}
        if found := re.fullmatch(r"histogram_quantile\([\d.]+, (.*)\)", text):
            buckets = found[1].replace(series.DURATION_BUCKETS, series.LATENCY_P95)
            return self._of(buckets, at)
        if found := _OVER.fullmatch(text):
            return self._over(found[1], found[2], _seconds(found[3]), _seconds(found[4] or "15s"), at)
        if found := _NAME.fullmatch(text):
            return self._recorded(found[1], _seconds(found[2]), found[3] or "", at)
        raise AssertionError(f"a query of a shape that nobody foresaw: {text}")

    def _over(self, how: str, selector: str, range_s: float, step_s: float, at: datetime) -> Values:
        """At the multiples of the step within the range, as subqueries are evaluated."""
        if how == "last":
            return self._of(selector, at)
        at_grid = on_grid(at, step_s)
        count = int((at_grid - (at - timedelta(seconds=range_s))).total_seconds() // step_s) + 1
        samples: dict[str, list[float]] = {}
        for place in range(max(0, count)):
            for track, value in self._of(selector, at_grid - timedelta(seconds=place * step_s)).items():
                samples.setdefault(track, []).append(value)
        folds: dict[str, Callable[[list[float]], float]] = {
            "avg": lambda v: sum(v) / len(v), "sum": sum, "max": max, "min": min, "count": lambda v: float(len(v)),
        }  # fmt: skip
        return {track: folds[how](values) for track, values in samples.items()}

    def _recorded(self, metric: str, window_s: float, labels: str, at: datetime) -> Values:
        wanted = re.search(r'track="(\w+)"', labels)
        service = re.search(r'service="(\w+)"', labels)
        if service is not None and service[1] != self.service:
            return {}
        tracks = (wanted[1],) if wanted is not None else (STABLE, CANARY)
        told = {track: self._value(metric, window_s, track, at) for track in tracks}
        return {track: value for track, value in told.items() if value is not None}

    # --- what is recorded -----------------------------------------------------------------------------------------------

    def _value(self, metric: str, window_s: float, track: str, at: datetime) -> Value:
        odd = next((s for s in reversed(self.spoilt) if s.concerns(metric, track, at)), None)
        if odd is not None:
            return odd.value
        if metric in SHARED:
            return SHARED[metric] if track == STABLE else None
        if track == CANARY and not self.weight(at) and not self.weight(at - timedelta(seconds=window_s)):
            return None
        if metric in ALWAYS:
            return ALWAYS[metric]
        begin = at - timedelta(seconds=window_s)
        requests, errors = self.count(track, begin, at)
        if metric in (series.REQUEST_RATE, series.ERROR_RATE):
            if track == CANARY and not requests and not self.has_zero:
                return None
            return (requests if metric == series.REQUEST_RATE else errors) / window_s
        if metric == series.ERROR_RATIO:
            return errors / requests if requests else None
        if metric in LATENCY:
            return LATENCY[metric] if requests else None
        return None

    def weight(self, at: datetime) -> int:
        """The canary's, in percent, as the router has it at that moment."""
        return next((w.number for w in reversed(self.moved) if w.what == "weight web" and w.at <= at), 0)

    def count(self, track: str, begin: datetime, end: datetime) -> tuple[float, float]:
        """Requests of a track within a time, and those of them that failed: the difference of two counters."""
        marks = sorted({begin, end, *(m for m in self._marks(track) if begin < m < end)})
        requests = errors = 0.0
        for left, right in pairwise(marks):
            came = self._rate(track, left) * (right - left).total_seconds()
            requests, errors = requests + came, errors + came * self.error_ratio(track, left)
        return requests, errors

    def error_ratio(self, track: str, at: datetime) -> float:
        told = sorted(self.error_ratios[track], key=lambda pair: pair[0])
        return told[bisect_right([since for since, _ in told], at) - 1][1]

    def _marks(self, track: str) -> set[datetime]:
        """When a rate has changed."""
        weights = {w.at for w in self.moved if w.what == "weight web"}
        return {
            *weights,
            *(since for since, _ in self.error_ratios[track]),
            *(m for span in self.unreached for m in span),
        }

    def _rate(self, track: str, at: datetime) -> float:
        share = self.weight(at) / 100
        if track == STABLE:
            return self.rps * (1 - share)
        return 0.0 if any(a <= at < z for a, z in self.unreached) else self.rps * share


def _seconds(text: str) -> float:
    """`90s`, `1h`, and sums such as `1h30m`."""
    return float(
        reduce(lambda all_, part: all_ + int(part[0]) * SECONDS[part[1]], re.findall(r"(\d+)([smhd])", text), 0)
    )


def next_tick(at: datetime, interval_s: float = 15.0) -> datetime:
    """The guards' next round after this moment, or this very moment: a condition that begins there holds from a sample on."""
    return datetime.fromtimestamp(ceil(at.timestamp() / interval_s) * interval_s, at.tzinfo)
