"""The key metrics over a whole observation: those with a limit are judged, the others are shown. Runbook: Key Metrics.

Missing series are told all at once, in one verdict: unknown is neither yes nor no.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from runbook import series
from runbook.durations import parse_duration
from runbook.policy import Threshold
from runbook.rules.idle import QUIET, idle_verdict
from runbook.rules.observed import Observation
from runbook.rules.readings import Reading
from runbook.series import METRICS, Metric, recorded_as
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, listing, measure

GATE = "key metrics"
LAG_GATE = "queue lag against the normal baseline"

_COUNTED = frozenset({series.OOM_KILLS, series.RESTARTS})
"""Recorded as how many within the window: over an observation they are summed. A queue's depth is a count, too, but of now."""

_LONGEST = frozenset({series.DB_CHECKPOINT})
"""Recorded as 0 between events: their mean would say how rare they are. The longest of the observation counts."""

_ELSEWHERE = frozenset({series.AVAILABILITY, series.DEPENDENCY_TIMEOUTS})
"""Asked only where a threshold names them: one needs a month, the other is judged against its own baseline."""

_CONTINUOUS = frozenset(
    {
        series.REQUEST_RATE, series.READINESS_RATIO, series.QUEUE_DEPTH, series.QUEUE_LAG, series.CPU, series.MEMORY,
        series.MEMORY_BYTES, series.OOM_KILLS, series.RESTARTS, series.DISK_SATURATION, series.NETWORK_TIMEOUTS,
    }
)  # fmt: skip
"""Recorded all the time by the shipped rules. Ratios of events rightly have no value while nothing happens."""


def asked_metrics(thresholds: Iterable[Threshold], without: Iterable[str]) -> tuple[Metric, ...]:
    """The key metrics in the catalogue's order, with whatever else a threshold names, and without what the service doesn't have."""
    named, absent = {threshold.metric for threshold in thresholds}, set(without)
    return tuple(metric for metric in METRICS.values() if _is_key(metric, named) and metric.name not in absent)


def _is_key(metric: Metric, named: set[str]) -> bool:
    return metric.name in named or (metric.section != "baseline" and metric.name not in _ELSEWHERE)


# --- what is asked ----------------------------------------------------------------------------------------------------


def metric_query(metric: Metric, observation: Observation) -> str:
    """PromQL for an instant at the observation's end: the mean; for what is counted in windows the sum; for checkpoints the longest; for
    queue lag the highest level that it did not fall below for `lag_for_s`."""
    recorded = observation.selector(metric.name)
    over_time = "max_over_time" if metric.name in _LONGEST else "avg_over_time"
    whole = f"{over_time}({recorded}[{observation.whole_s}s])"
    value = _lasting(recorded, observation) if metric.name == series.QUEUE_LAG else whole
    if metric.name in _COUNTED:
        value = f"{value} * {_windows_within(observation):g}"
    if metric.name not in _CONTINUOUS:
        return value
    return f"{value} and {observation.covered(metric.name)}"


def _lasting(recorded: str, observation: Observation) -> str:
    low = f"min_over_time({recorded}[{observation.lag_for_s}s])"
    rest_s = observation.whole_s - observation.lag_for_s
    return low if rest_s < observation.step_s else f"max_over_time({low}[{rest_s}s:{observation.step_s}s])"


def _windows_within(observation: Observation) -> float:
    """The mean of what came within each window, times this, is what came in all; never less than what one window saw."""
    return max(1.0, observation.whole_s / parse_duration(observation.windows.window))


def baseline_query(metric: str, observation: Observation) -> str:
    """For an instant before the release."""
    return observation.selector(metric)


# --- what it means ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came back. readings, queries: by the metric's name. lag_baseline: None where there is no such series.

    rates: by the name of an absent ratio, how much there was that it could be a part of (`rate_query`).
    """

    readings: Mapping[str, Reading]
    queries: Mapping[str, str]
    lag_baseline: Reading | None = None
    rates: Mapping[str, Reading] = field(default_factory=dict)


def judge_key_metrics(
    asked: Asked, thresholds: tuple[Threshold, ...], without: tuple[str, ...], observation: Observation
) -> tuple[Verdict, ...]:
    """Every metric speaks: limits and queue lag one by one, what is only shown by section, what is missing in one verdict.

    Codes: `key_metrics.<metric>`, `metrics.absent`, `metrics.idle`, `metrics.no_core_transactions`, `metrics.nan`,
    `metrics.infinite`, `metrics.ambiguous`, or an error's own.
    """
    values = {name: reading for name, reading in asked.readings.items() if not isinstance(reading, Verdict)}
    judged = [threshold for threshold in thresholds if threshold.metric in values]
    verdicts = [_judge(threshold, values[threshold.metric], asked, observation) for threshold in judged]
    if series.QUEUE_LAG in values:
        verdicts.append(_judge_lag(values[series.QUEUE_LAG], asked, observation))
    verdicts += _unread(asked, observation)
    named = {threshold.metric for threshold in judged} | {series.QUEUE_LAG}
    verdicts += _shown({name: value for name, value in values.items() if name not in named}, asked, observation)
    return (*verdicts, *_without(without, observation))


def counted(value: float) -> int:
    """How many events an extrapolated sum stands for: never none for a trace of one."""
    return max(round(value), 1) if value > 0 else 0


def _judge(threshold: Threshold, value: float, asked: Asked, observation: Observation) -> Verdict:
    metric = METRICS[threshold.metric]
    shown = float(counted(value)) if metric.name in _COUNTED else value
    bad = shown > threshold.limit if threshold.above else shown < threshold.limit
    over = f"in {duration(observation.whole_s)}" if metric.name in _COUNTED else _average(metric, observation)
    bound = "at most" if threshold.above else "at least"
    reason = f"{measure(shown, threshold.unit)} {over}; wanted: {bound} {measure(threshold.limit, threshold.unit)}"
    evidence = Evidence(
        name=threshold.name, value=round(shown, 6), limit=threshold.limit, unit=metric.unit,
        source=asked.queries.get(metric.name, ""), window_s=float(observation.whole_s),
    )  # fmt: skip
    if not bad:
        return Verdict.passed(threshold.name, reason, evidence)
    return Verdict.failed(threshold.name, f"key_metrics.{metric.name}", reason, evidence)


def _average(metric: Metric, observation: Observation) -> str:
    if metric.name == series.QUEUE_LAG:
        return f"for {duration(observation.lag_for_s)}"
    if metric.name in _LONGEST:
        return f"at the longest in {duration(observation.whole_s)}"
    return f"on average over {duration(observation.whole_s)}"


def _judge_lag(lag_s: float, asked: Asked, observation: Observation) -> Verdict:
    """Runbook: Warning Alerts, "queue lag above normal baseline". Without history nothing is above normal, and that is said."""
    baseline, query = asked.lag_baseline, asked.queries.get(series.QUEUE_LAG, "")
    if isinstance(baseline, Verdict):
        return baseline
    lasted = f"did not fall below {duration(lag_s)} for {duration(observation.lag_for_s)}"
    evidence = Evidence(
        name="lasting queue lag", value=round(lag_s, 6), limit=None if baseline is None else round(baseline, 6), unit="s",
        source=query, window_s=float(observation.lag_for_s),
    )  # fmt: skip
    if baseline is None:
        reason = f"no normal baseline is recorded yet, so that nothing is above it; the lag {lasted}"
        return Verdict.passed(LAG_GATE, reason, evidence, code="key_metrics.no_baseline")
    reason = f"the lag {lasted}; normal is up to {duration(baseline)}"
    if lag_s <= baseline:
        return Verdict.passed(LAG_GATE, reason, evidence)
    remedy = "Look whether consumers of the queue run and keep up"
    return Verdict.failed(LAG_GATE, f"key_metrics.{series.QUEUE_LAG}", reason, evidence, remedy=remedy)


# --- what could not be read -------------------------------------------------------------------------------------------


def _unread(asked: Asked, observation: Observation) -> Iterator[Verdict]:
    unread = {name: reading for name, reading in asked.readings.items() if isinstance(reading, Verdict)}
    absent = [name for name, verdict in unread.items() if verdict.code == "metrics.absent"]
    idle = {name: _idle(name, asked, observation) for name in absent}
    databases = [name for name in absent if METRICS[name].section == "database"]
    missing = [name for name in absent if name not in databases and idle[name] is None]
    if missing:
        yield absent_verdict(GATE, missing, observation, asked.queries)
    if databases:
        names = listing(METRICS[name].title for name in databases)
        reason = f"not measured for {observation.service}: {names}"
        yield replace(Verdict.no_data(GATE, "metrics.no_database", reason), binding=False)
    told = (idle[name] if name in absent else verdict for name, verdict in unread.items())
    yield from _once_each(verdict for verdict in told if verdict is not None)


def _idle(name: str, asked: Asked, observation: Observation) -> Verdict | None:
    return idle_verdict(METRICS[name].title, name, asked.rates.get(name), observation) if name in QUIET else None


def absent_verdict(gate: str, missing: list[str], observation: Observation, queries: Mapping[str, str]) -> Verdict:
    """One verdict for all of them, with what to do. missing: names of metrics."""
    recorded = listing(recorded_as(name, observation.windows) for name in missing)
    where = f'service="{observation.service}", env="{observation.env}", track="{observation.track}"'
    reason = f"not recorded over the observation, or for less than half of it: {recorded} with {where}"
    evidence = (
        Evidence(name=METRICS[name].title, value=None, source=queries.get(name, "")) for name in missing
    )  # fmt: skip
    remedy = (
        "Load the rules that `forge rules` prints and let Prometheus scrape what they are made of, or name what the service "
        f"doesn't have: services.{observation.service}.without: [{', '.join(missing)}]"
    )
    return Verdict.no_data(gate, "metrics.absent", reason, *evidence, remedy=remedy)


def _once_each(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """A Prometheus that is down says the same of every metric: once is enough."""
    seen: set[tuple[str, str]] = set()
    for verdict in verdicts:
        if (verdict.code, verdict.reason) not in seen:
            seen.add((verdict.code, verdict.reason))
            yield replace(verdict, gate=GATE) if verdict.outcome is Outcome.ERROR else verdict


# --- what is only shown -----------------------------------------------------------------------------------------------


def _shown(values: Mapping[str, float], asked: Asked, observation: Observation) -> Iterator[Verdict]:
    for section in ("application", "infrastructure", "database", "baseline"):
        found = {name: value for name, value in values.items() if METRICS[name].section == section}
        if found:
            evidence = (
                Evidence(
                    name=METRICS[name].title, value=counted(value) if name in _COUNTED else round(value, 6),
                    unit=METRICS[name].unit, source=asked.queries.get(name, ""),
                ) for name, value in found.items()
            )  # fmt: skip
            reason = f"seen over {duration(observation.whole_s)}, without limits of their own"
            yield Verdict.passed(f"{section} metrics", reason, *evidence)


def _without(without: tuple[str, ...], observation: Observation) -> Iterator[Verdict]:
    titles = [METRICS[name].title for name in without if name in METRICS]
    if titles:
        reason = f"{observation.service} has none by configuration (`without`): {listing(titles)}"
        yield Verdict(GATE, Outcome.NOT_RUN, "metrics.without", reason, binding=False)
