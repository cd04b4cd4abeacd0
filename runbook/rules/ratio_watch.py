"""The canary's ratio guard between two samples: recorded rates become counts, each sample once, for `rules.canary_ratio` to judge.

Live judging, filling in after a downtime and the gate's own look all go through here, so that they agree. No clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from runbook.plan import RatioGuard
from runbook.ports import Series
from runbook.rules.canary_ratio import START, Counts, RatioLimits, RatioState, judge_ratio, next_ratio
from runbook.rules.guards import GAP_INTERVALS
from runbook.rules.readings import Reading, read_single
from runbook.verdicts import Outcome, Verdict

CANARY, STABLE = "canary", "stable"

BASELINE_S = 3600.0
"""How far before the roll-out stable's own requests count as its baseline."""

FULL = 100

Weights = tuple[tuple[datetime, int], ...]
"""When which weight was accepted, in order of time."""


@dataclass(frozen=True, slots=True)
class Rates:
    """One moment's recorded rates per second of one track, or why there are none."""

    requests: Reading
    errors: Reading

    @property
    def trouble(self) -> Verdict | None:
        return next((r for r in (self.requests, self.errors) if isinstance(r, Verdict)), None)

    def over(self, length_s: float) -> Counts | None:
        """What came within so many seconds; None where it isn't known."""
        if isinstance(self.requests, Verdict) or isinstance(self.errors, Verdict):
            return None
        return Counts(self.requests * length_s, self.errors * length_s)


@dataclass(frozen=True, slots=True)
class RatioSample:
    """Both tracks at one moment."""

    at: datetime
    canary: Rates
    stable: Rates


@dataclass(frozen=True, slots=True)
class RatioWatch:
    """at: the newest sample that was counted. good_at: the newest that could be judged by. missing: what is missing since then."""

    state: RatioState = START
    at: datetime | None = None
    good_at: datetime | None = None
    missing: Verdict | None = None


def limits_of(guard: RatioGuard, passing_requests: int | None = None) -> RatioLimits:
    """passing_requests: how many a PASS takes; None for the rule's own number."""
    limits = RatioLimits(
        ratio=guard.ratio,
        alpha=guard.alpha,
        minimum_requests=guard.minimum_requests,
        floor=guard.floor,
        design_effect=guard.design_effect,
    )
    return limits if passing_requests is None else replace(limits, passing_requests=passing_requests)


def next_watch(
    watch: RatioWatch, sample: RatioSample, guard: RatioGuard, weights: Weights, interval_s: float, limits: RatioLimits
) -> RatioWatch:
    """The state after one more sample; one no newer than the last changes nothing. weights: until the first of them was accepted nothing
    of the canary counts, for no request was meant to reach it."""
    if watch.at is not None and sample.at <= watch.at:
        return watch
    length_s = _covered_s(watch.at, sample.at, interval_s)
    weight = weight_at(weights, sample.at)
    canary = sample.canary.over(length_s) if weight is not None else None
    state = next_ratio(watch.state, canary, sample.stable.over(length_s), limits, weight=weight)
    watch = replace(watch, state=state, at=sample.at)
    missing = sample.canary.trouble or (sample.stable.trouble if weight is not None and weight < FULL else None)
    if weight is None or missing is None:
        return replace(watch, good_at=sample.at, missing=None)
    return replace(watch, missing=missing, good_at=watch.good_at or sample.at)


def replay_ratio(
    watch: RatioWatch,
    samples: Iterable[RatioSample],
    guard: RatioGuard,
    weights: Weights,
    interval_s: float,
    limits: RatioLimits,
) -> RatioWatch:
    """Fills in what was missed, in order of time. Of what was known before none counts twice."""
    for sample in samples:
        watch = next_watch(watch, sample, guard, weights, interval_s, limits)
    return watch


def judge_watch(watch: RatioWatch, guard: RatioGuard, limits: RatioLimits, interval_s: float) -> Verdict:
    """As `judge_ratio`; where rates have been missing for longer than one missed scrape that is the verdict, but for a crossing."""
    verdict = judge_ratio(
        watch.state, limits, at=watch.at, gate=guard.name, source=f"{guard.errors} / {guard.requests}"
    )
    if verdict.outcome is Outcome.FAIL or watch.missing is None or watch.at is None or watch.good_at is None:
        return verdict
    silent_s = (watch.at - watch.good_at).total_seconds()
    return watch.missing if silent_s > GAP_INTERVALS * interval_s else verdict


def is_late(watch: RatioWatch, now: datetime, interval_s: float) -> bool:
    """Whether more than one scrape has been missed since the newest sample, or there never was one."""
    return watch.at is None or (now - watch.at).total_seconds() > GAP_INTERVALS * interval_s


def sample_of(
    guard: RatioGuard, requests: Mapping[str, Sequence[Series]], errors: Mapping[str, Sequence[Series]], at: datetime
) -> RatioSample:
    """One answer of each metric, by track. at: the moment that it tells of."""
    return RatioSample(at, *(_rates(guard, requests.get(t, ()), errors.get(t, ())) for t in (CANARY, STABLE)))


def samples_of(
    guard: RatioGuard, requests: Mapping[str, Sequence[Series]], errors: Mapping[str, Sequence[Series]]
) -> list[RatioSample]:
    """A range query's answers, moment by moment."""
    slices = [_by_moment(found) for found in (requests, errors)]
    moments = sorted({at for found in slices for at in found})
    return [sample_of(guard, slices[0].get(at, {}), slices[1].get(at, {}), at) for at in moments]


def weight_at(weights: Weights, at: datetime) -> int | None:
    """None before the first."""
    return next((weight for since, weight in reversed(weights) if since <= at), None)


def weights_of(facts: Mapping[str, Any]) -> Weights:
    """From the fact `traffic`, a list of {workload, driver, weight, at}: when each weight was first accepted by a router; for a service
    without one, when the pods were there."""
    found = facts.get("traffic")
    entries = [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, Sequence) else []
    routed = [entry for entry in entries if entry.get("driver") == "route"] or entries
    first: dict[int, datetime] = {}
    for entry in routed:
        weight, at = int(entry["weight"]), datetime.fromisoformat(entry["at"])
        first[weight] = min(at, first.get(weight, at))
    return tuple(sorted((at, weight) for weight, at in first.items()))


def on_grid(moment: datetime, interval_s: float) -> datetime:
    """The newest whole multiple of the interval: rounds and range queries look at the same moments."""
    return datetime.fromtimestamp(moment.timestamp() // interval_s * interval_s, UTC)


def by_track(answer: Iterable[Series], service: str, environment: str) -> dict[str, list[Series]]:
    """One service's series of an answer; one Prometheus may record several environments."""
    found: dict[str, list[Series]] = {}
    for series in answer:
        labels = series.labels
        if labels.get("service") == service and labels.get("env", environment) == environment:
            found.setdefault(labels.get("track", STABLE), []).append(series)
    return found


def ratio_words(guard: RatioGuard) -> str:
    """What is watched, in words."""
    return f"{guard.name}, more than {guard.ratio:g} times"


def _rates(guard: RatioGuard, requests: Sequence[Series], errors: Sequence[Series]) -> Rates:
    return Rates(
        read_single(guard.name, requests, guard.requests),
        read_single(guard.name, errors, guard.errors),
    )


def _covered_s(last: datetime | None, at: datetime, interval_s: float) -> float:
    """The time that a sample stands for: since the one before it, which is one interval but for a round that was late or a scrape that
    was missed. After a longer gap nobody knows, and it stands for one interval."""
    passed_s = interval_s if last is None else (at - last).total_seconds()
    return passed_s if passed_s <= GAP_INTERVALS * interval_s else interval_s


def _by_moment(found: Mapping[str, Sequence[Series]]) -> dict[datetime, dict[str, list[Series]]]:
    moments: dict[datetime, dict[str, list[Series]]] = {}
    for track, series in found.items():
        for one in series:
            for sample in one.samples:
                moments.setdefault(sample.at, {}).setdefault(track, []).append(Series(one.labels, (sample,)))
    return moments
