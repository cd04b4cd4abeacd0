"""Production release completion criteria: every phase passed, no trigger met, and no alert sustained after the full roll-out.

Alerts are looked for in what was recorded, by the same state machine that guards use: what was sustained and passed counts, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from runbook import series
from runbook.durations import parse_duration
from runbook.plan import Guard
from runbook.policy import MINUTE_S, Threshold
from runbook.ports import Sample, Series
from runbook.rules.guards import GAP_INTERVALS, judge_guard, replay
from runbook.rules.idle import QUIET
from runbook.rules.phases import CANARY, STABLE
from runbook.rules.readings import read_single
from runbook.series import METRICS, Windows, recorded_as
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, listing, measure

PHASES_GATE, TRIGGERS_GATE, ALERTS_GATE = "every phase passed", "no rollback trigger met", "no sustained alert"

LAG = Threshold("PostgreSQL replication lag", series.DB_REPLICATION_LAG, True, 60.0, 5 * MINUTE_S, "s")
OOM_RESTARTS, OOM_WITHIN_S = 3, 10 * MINUTE_S
"""Runbook: Critical Alerts. Counted wherever the policy names no limit of its own."""

_RATES: Mapping[str, tuple[str, ...]] = {
    series.ERROR_RATIO: (series.REQUEST_RATE,),
    series.LATENCY_P50: (series.REQUEST_RATE,),
    series.LATENCY_P95: (series.REQUEST_RATE,),
    series.LATENCY_P99: (series.REQUEST_RATE,),
    **{name: quiet.rates for name, quiet in QUIET.items()},
}
"""What has no sample while all of these are 0: then nothing is wrong, and it is known."""

_SLOWER = 4
"""What is recorded over a day or a month is evaluated so many times more rarely (`forge rules`)."""

_NEEDED = frozenset({series.ERROR_RATIO, series.LATENCY_P95, series.CORE_SUCCESS})
"""Without any traffic in all the time these say nothing of the release."""


# --- phases and triggers ----------------------------------------------------------------------------------------------


def judge_phases(weights: Sequence[int], facts: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """Facts: `phase:<weight>`, each gate's outcome; `triggers`, a list of {"name", "at", "reason"}, those that were met in this run.

    FAIL `completion.phase`, `completion.trigger`.
    """
    outcomes = {weight: facts.get(f"phase:{weight}") for weight in weights}
    evidence = tuple(Evidence(name=f"{weight} %", value=str(found or "not run")) for weight, found in outcomes.items())
    open_ = [f"{weight} % ({found or 'not run'})" for weight, found in outcomes.items() if found != Outcome.PASS.value]
    if open_:
        reason = f"not every phase has passed its gate: {listing(open_)}"
        phases = Verdict.failed(PHASES_GATE, "completion.phase", reason, *evidence)
    else:
        told = listing(f"{weight} %" for weight in weights)
        phases = Verdict.passed(PHASES_GATE, f"{told} passed their gates", *evidence)
    return phases, _triggers(facts.get("triggers") or ())


def _triggers(met: Sequence[Mapping[str, Any]]) -> Verdict:
    if not met:
        return Verdict.passed(TRIGGERS_GATE, "no rollback trigger was met in this run")
    evidence = (
        Evidence(name=str(each.get("name", "trigger")), value=str(each.get("reason", "")), source=str(each.get("at", "")))
        for each in met
    )  # fmt: skip
    names = listing(dict.fromkeys(str(each.get("name", "trigger")) for each in met))
    reason = f"{names}: met in this run, although it went on"
    return Verdict.failed(TRIGGERS_GATE, "completion.trigger", reason, *evidence)


# --- sustained alerts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """The time that has to be quiet. begin, end: within it nothing may have been sustained. step_s: between two samples.

    track: which carries the traffic; the other one is looked at as far as it is recorded.
    """

    service: str
    env: str
    windows: Windows
    begin: datetime
    end: datetime
    step_s: float
    track: str = CANARY

    def selector(self, metric: str) -> str:
        return f'{recorded_as(metric, self.windows)}{{service="{self.service}",env="{self.env}"}}'

    def recent(self, metric: str) -> str:
        """The sample of each moment, of which none is older than a gap: Prometheus alone would repeat the last one for five minutes."""
        slower = 1 if METRICS[metric].over == "window" else _SLOWER
        return f"last_over_time({self.selector(metric)}[{math.ceil(GAP_INTERVALS * self.step_s * slower)}s])"


@dataclass(frozen=True, slots=True)
class Alert:
    """One condition that must not have been sustained. query: of all tracks. rates: queries of what its absence may be explained by."""

    guard: Guard
    query: str
    severity: str
    rates: tuple[str, ...] = ()
    needed: bool = True
    shared: bool = False
    """Of the database: recorded as stable's, and only where somebody measures it."""


def alerts_of(
    warning: Iterable[Threshold], critical: Iterable[Threshold], without: Iterable[str], quiet: Quiet
) -> tuple[Alert, ...]:
    """Runbook: Alert Rules; of the metrics that the service has. Queue lag is `lag_alert`."""
    absent, critical = set(without), tuple(critical)
    if all(each.metric != LAG.metric for each in critical):
        critical = (*critical, LAG)
    found = [
        _of_threshold(each, severity, quiet)
        for severity, some in (("warning", tuple(warning)), ("critical", critical))
        for each in some
        if each.metric not in absent
    ]
    return tuple(found) if series.OOM_KILLS in absent else (*found, _oom_loop(quiet))


def lag_alert(baseline_s: float, for_s: float, quiet: Quiet) -> Alert:
    """Runbook: Warning Alerts, "queue lag above normal baseline for 15 minutes". baseline_s: what was normal before the release."""
    guard = Guard("queue lag above its normal baseline", quiet.recent(series.QUEUE_LAG), True, baseline_s, for_s, "s")
    return Alert(guard, guard.metric, "warning")


def _of_threshold(threshold: Threshold, severity: str, quiet: Quiet) -> Alert:
    query = quiet.recent(threshold.metric)
    guard = Guard(threshold.name, query, threshold.above, threshold.limit, threshold.for_s, threshold.unit)
    rates = tuple(quiet.recent(rate) for rate in _RATES.get(threshold.metric, ()))
    shared = METRICS[threshold.metric].section == "database"
    return Alert(guard, query, severity, rates, threshold.metric in _NEEDED, shared)


def _oom_loop(quiet: Quiet) -> Alert:
    """Kills are recorded as how many within a window: summed at steps, each counts once. `round` undoes the extrapolation of `increase`."""
    step_s = max(1, round(quiet.step_s))
    each = step_s / parse_duration(quiet.windows.window)
    # A second less: Prometheus 2 counts the samples at both ends of a range, which would be one too many.
    query = (
        f"round(sum_over_time({quiet.selector(series.OOM_KILLS)}[{round(OOM_WITHIN_S) - 1}s:{step_s}s]) * {each:.6g})"
    )
    guard = Guard("OOM restart loop", query, True, float(OOM_RESTARTS), 0.0, "count")
    return Alert(guard, query, "critical")


def judge_alert(alert: Alert, answer: Sequence[Series], rates: Sequence[Sequence[Series]], quiet: Quiet) -> Verdict:
    """The worst of all tracks. answer: by a range query from `begin - for_s` to `end`; rates: of `alert.rates`, likewise.

    FAIL `completion.sustained`. NO_DATA `completion.not_recorded`, `completion.gap`, `completion.no_traffic`, `metrics.ambiguous`; it decides
    nothing for a database that nobody measures.
    """
    track = STABLE if alert.shared else quiet.track
    others = [t for t in (CANARY, STABLE) if t != track and _of_track(answer, t)]
    told = [_judge_track(alert, answer, rates, quiet, each, each == track) for each in (track, *others)]
    order = (Outcome.FAIL, Outcome.ERROR, Outcome.NO_DATA, Outcome.PASS)
    verdict = min(told, key=lambda v: order.index(v.outcome))
    unmeasured = alert.shared and verdict.code == "completion.not_recorded"
    return replace(verdict, binding=False) if unmeasured else verdict


def _judge_track(
    alert: Alert, answer: Sequence[Series], rates: Sequence[Sequence[Series]], quiet: Quiet, track: str, carries: bool
) -> Verdict:
    gate = f"{ALERTS_GATE}: {alert.guard.name} ({alert.severity})"
    found = _of_track(answer, track)
    if len(found) > 1:
        reading = read_single(gate, found, alert.query)
        return reading if isinstance(reading, Verdict) else Verdict.no_data(gate, "metrics.ambiguous", gate)
    from_ = quiet.begin - timedelta(seconds=alert.guard.for_s)
    own = [s for s in (found[0].samples if found else ()) if from_ <= s.at <= quiet.end]
    silent = _silent(alert, rates, track, from_, quiet.end)
    if not own and carries:
        return _nothing(gate, alert, track, bool(silent), quiet)
    samples = sorted({**silent, **{s.at: s for s in own}}.values(), key=lambda s: s.at)
    state = replay(alert.guard, samples, quiet.step_s)
    judged = judge_guard(state, alert.guard)
    if judged.outcome is Outcome.FAIL and state.breached_from is not None and state.breached_at is not None:
        times = f"from {state.breached_from:%H:%M:%S} to {state.breached_at:%H:%M:%S} UTC at least, {_whose(track)}"
        return Verdict.failed(gate, "completion.sustained", f"{judged.reason}, {times}", *judged.evidence)
    if carries and (hole := _hole(alert.guard, samples, quiet)) is not None:
        hidden = f"for {duration(hole)} of the last {duration(_length_s(quiet))}"
        reason = f"{alert.guard.name} was not recorded {hidden}: an alert may have been sustained unseen"
        return Verdict.no_data(gate, "completion.gap", reason, _evidence(alert, own, quiet))
    reason = f"not sustained in the last {duration(_length_s(quiet))}; {_worst_words(alert.guard, own)}"
    return Verdict.passed(gate, reason, _evidence(alert, own, quiet))


def _of_track(answer: Iterable[Series], track: str) -> list[Series]:
    return [each for each in answer if each.labels.get("track", STABLE) == track and each.samples]


def _silent(
    alert: Alert, rates: Sequence[Sequence[Series]], track: str, begin: datetime, end: datetime
) -> dict[datetime, Sample]:
    """Moments without anything that the metric could be a part of: they are as good as the limit, which is not beyond it."""
    if not alert.rates:
        return {}
    zeros: list[set[datetime]] = []
    for answer in rates:
        found = _of_track(answer, track)
        if len(found) != 1:
            return {}
        zeros.append({s.at for s in found[0].samples if s.value == 0 and begin <= s.at <= end})
    return {at: Sample(at, alert.guard.limit) for at in set.intersection(*zeros)} if zeros else {}


def _nothing(gate: str, alert: Alert, track: str, silent: bool, quiet: Quiet) -> Verdict:
    evidence = Evidence(
        name=alert.guard.name, value=None, limit=alert.guard.limit, unit=alert.guard.unit, source=alert.query
    )
    lasting = duration(_length_s(quiet))
    if silent and not alert.needed:
        return Verdict.passed(gate, f"nothing happened in the last {lasting} that could be measured", evidence)
    if silent:
        remedy = "Send traffic to the service, and look whether it reaches the new version"
        reason = f"no traffic in the last {lasting}: nothing to judge by"
        return Verdict.no_data(gate, "completion.no_traffic", reason, evidence, remedy=remedy)
    remedy = "Load the rules that `forge rules` prints and let Prometheus scrape what they are made of"
    reason = f"{alert.guard.name} was not recorded in the last {lasting}, {_whose(track)}"
    return Verdict.no_data(gate, "completion.not_recorded", reason, evidence, remedy=remedy)


def _hole(guard: Guard, samples: Sequence[Sample], quiet: Quiet) -> float | None:
    """The longest time without a sample in which, with what is on both sides of it, the condition may have been sustained unseen."""
    known = [s for s in samples if s.value == s.value]  # NaN says nothing
    marks: list[tuple[datetime, bool]] = [(s.at, _beyond(guard, s.value)) for s in known]
    edges = [(quiet.begin, False), *(mark for mark in marks if mark[0] >= quiet.begin), (quiet.end, False)]
    earlier = [mark for mark in marks if mark[0] < quiet.begin]
    if earlier:
        edges[0] = earlier[-1]
    found = []
    for (left, held), (right, holds) in pairwise(edges):
        length_s = (right - left).total_seconds()
        if length_s > GAP_INTERVALS * quiet.step_s and (length_s >= guard.for_s or held or holds):
            found.append(length_s)
    return max(found, default=None)


def _beyond(guard: Guard, value: float) -> bool:
    return value > guard.limit if guard.above else value < guard.limit


def _worst_words(guard: Guard, samples: Sequence[Sample]) -> str:
    values = [s.value for s in samples if s.value == s.value]
    if not values:
        return "nothing was measured"
    worst = max(values) if guard.above else min(values)
    return f"at worst {measure(worst, guard.unit)}, the limit is {measure(guard.limit, guard.unit)} for {duration(guard.for_s)}"


def _evidence(alert: Alert, samples: Sequence[Sample], quiet: Quiet) -> Evidence:
    guard = alert.guard
    values = [s.value for s in samples if s.value == s.value]
    worst = (max(values) if guard.above else min(values)) if values else None
    return Evidence(
        name=guard.name, value=None if worst is None else round(worst, 6), limit=guard.limit, unit=guard.unit,
        source=alert.query, samples=len(values), window_s=_length_s(quiet), at=quiet.end,
    )  # fmt: skip


def _length_s(quiet: Quiet) -> float:
    return max(0.0, (quiet.end - quiet.begin).total_seconds())


def _whose(track: str) -> str:
    return "on the canary" if track == CANARY else "on stable"


def not_yet(quiet_s: float, passed_s: float) -> Verdict | None:
    """NO_DATA `completion.too_early` until the full roll-out is so long ago; None then. Both in seconds."""
    if passed_s >= quiet_s - 1e-6:
        return None
    reason = f"{duration(passed_s)} since the full roll-out; alerts are looked at over {duration(quiet_s)}"
    evidence = Evidence(name="since the full roll-out", value=round(passed_s, 1), limit=quiet_s, unit="s")
    return Verdict.no_data(ALERTS_GATE, "completion.too_early", reason, evidence)


def normal_lag_query(quiet: Quiet) -> str:
    """For an instant before the release: what was normal for stable."""
    baseline = recorded_as(series.QUEUE_LAG_BASELINE, quiet.windows)
    return f'{baseline}{{service="{quiet.service}",env="{quiet.env}",track="stable"}}'


def no_lag_baseline(quiet: Quiet) -> Verdict:
    """Without history nothing is above normal, and that is said."""
    reason = "no normal queue lag is recorded from before this release, so that nothing is above it"
    evidence = Evidence(name="normal queue lag", value=None, unit="s", source=normal_lag_query(quiet))
    return Verdict.passed(f"{ALERTS_GATE}: queue lag (warning)", reason, evidence, code="completion.no_baseline")
