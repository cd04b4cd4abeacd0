"""Whether the service is as fast as its target asks. Runbook: Staging Deployment 5, "Performance baseline within ±10% of target".

The target in configuration decides; what the last go measured is shown and never a gate. Unreadable numbers are never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from runbook.charts import Bar, Chart, Panel
from runbook.jobs import PerformanceTarget
from runbook.reports.load_summary import LoadSummary, Unreadable
from runbook.rules.job_ends import judge_end
from runbook.rules.jobs import End
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, listing, measure, percent

_ROUNDING = 1e-9
"""Relative: exactly the tolerance still passes, whatever binary fractions make of it."""

_K6_REMEDY = 'With k6, run it with --summary-trend-stats="med,p(95),p(99)"'
_OWN_FORM = 'Print {"latency_ms": {"p50": …, "p95": …, "p99": …}, "throughput_per_s": …, "requests": …, "failed": …} or a k6 summary last'


@dataclass(frozen=True)
class _Measure:
    key: str
    name: str
    unit: str
    higher_is_worse: bool
    value: float | None
    target: float | None

    def limit(self, tolerance: float) -> float | None:
        if self.target is None:
            return None
        return self.target * (1 + tolerance if self.higher_is_worse else 1 - tolerance)

    def change(self) -> float | None:
        """How much worse than the target, as a ratio of it; negative is better. None without both."""
        if self.value is None or not self.target:
            return None
        return (self.value - self.target) / self.target * (1 if self.higher_is_worse else -1)

    def words(self) -> str:
        """`p95 520 ms (target 400 ms)`."""
        value = "not measured" if self.value is None else _measured(self.value, self.unit)
        target = f" (target {_measured(self.target, self.unit)})" if self.target is not None else ""
        return f"{self.name} {value}{target}"


def judge_load(
    gate: str, end: End, summary: LoadSummary | Unreadable, target: PerformanceTarget, tolerance: float,
    max_failed_ratio: float, rate: float, duration_s: float,
) -> Verdict:  # fmt: skip
    """A load that didn't end well proves nothing, whatever it measured; its numbers are shown all the same.

    rate (requests per second), duration_s: the profile that was asked for.
    """
    ended = judge_end(gate, end)
    asked = Evidence(name="load asked for", value=rate, unit="per_s", source=f"job/{end.job}", window_s=duration_s)
    judged = judge_performance(gate, summary, target, tolerance, max_failed_ratio, f"job/{end.job}", duration_s)
    evidence = (*judged.evidence, asked, *ended.evidence)
    if end.well:
        return replace(judged, evidence=evidence)
    also = f"; {judged.reason}" if judged.outcome is Outcome.FAIL else ""
    return replace(ended, reason=f"{ended.reason}{also}", evidence=evidence)


def judge_performance(
    gate: str, summary: LoadSummary | Unreadable, target: PerformanceTarget, tolerance: float, max_failed_ratio: float,
    source: str = "", duration_s: float | None = None,
) -> Verdict:  # fmt: skip
    """More than `tolerance` worse than the target in anything fails; exactly that much passes; more than that better is noted.

    Codes: `performance.no_target`, `.unreadable`, `.no_requests`, `.failed_requests`, `.worse`, `.missing`, `ok`, `performance.better`.
    """
    if (wrong := _wrong_target(target)) is not None:
        return Verdict.failed(gate, "performance.no_target", wrong, remedy="Set services.<name>.performance.target")
    if isinstance(summary, Unreadable):
        reason = f"what it measured can't be read: {summary.reason}"
        asked = Evidence(name="measured", value=None, source=source)
        return Verdict.no_data(gate, "performance.unreadable", reason, asked, remedy=_OWN_FORM)
    evidence = performance_evidence(summary, target, tolerance, max_failed_ratio, source, duration_s)
    measures = _measures(summary, target)
    if summary.requests == 0:
        return Verdict.no_data(gate, "performance.no_requests", "the load sent no request", *evidence)
    worse = [m for m in measures if _beyond(m.change(), tolerance)]
    if worse:
        reason = f"more than {percent(tolerance)} worse than the target: {_all(worse)}"
        remedy = "Compare with the last go and find what costs the time; or correct a wrong target, with its reason"
        return Verdict.failed(gate, "performance.worse", reason, *evidence, remedy=remedy)
    if summary.failed_ratio is not None and summary.failed_ratio > max_failed_ratio:
        reason = f"{percent(summary.failed_ratio)} of the requests failed, at most {percent(max_failed_ratio)} may"
        return Verdict.failed(gate, "performance.failed_requests", reason, *evidence, remedy="Read the service's log")
    return _incomplete(gate, summary, measures, evidence) or _good(gate, measures, tolerance, evidence)


def _incomplete(
    gate: str, summary: LoadSummary, measures: tuple[_Measure, ...], evidence: tuple[Evidence, ...]
) -> Verdict | None:
    missing = [m.name for m in measures if m.target is not None and m.value is None]
    missing += [name for name, value in (("the number of requests", summary.requests),
                                         ("how many failed", summary.failed_ratio)) if value is None]  # fmt: skip
    if not missing:
        return None
    remedy = _K6_REMEDY if summary.source == "k6" else _OWN_FORM
    return Verdict.no_data(gate, "performance.missing", f"it doesn't say {listing(missing)}", *evidence, remedy=remedy)


def _good(gate: str, measures: tuple[_Measure, ...], tolerance: float, evidence: tuple[Evidence, ...]) -> Verdict:
    better = [m for m in measures if (change := m.change()) is not None and _beyond(-change, tolerance)]
    judged = _all([m for m in measures if m.target is not None])
    if not better:
        return Verdict.passed(gate, f"within {percent(tolerance)} of the target: {judged}", *evidence)
    reason = f"{judged}; more than {percent(tolerance)} better than the target: {listing(m.name for m in better)}"
    return Verdict.passed(gate, reason, *evidence, code="performance.better")


def performance_evidence(
    summary: LoadSummary, target: PerformanceTarget, tolerance: float, max_failed_ratio: float, source: str = "",
    duration_s: float | None = None,
) -> tuple[Evidence, ...]:  # fmt: skip
    """Each number with what it may be at worst. duration_s: for how long the load lasted."""
    samples = int(summary.requests) if summary.requests is not None else None
    measured = [
        Evidence(
            name=m.name, value=_rounded(m.value), limit=_rounded(m.limit(tolerance)), unit=m.unit, source=source,
            samples=samples, window_s=duration_s,
        )
        for m in _measures(summary, target)
    ]  # fmt: skip
    failed = Evidence(
        name="failed requests", value=_rounded(summary.failed_ratio), limit=max_failed_ratio, unit="ratio", source=source,
        samples=samples,
    )  # fmt: skip
    return (*measured, failed)


def performance_chart(
    title: str, summary: LoadSummary, target: PerformanceTarget, previous: Mapping[str, float] | None
) -> Chart:
    """Bars: measured, target, the last go. previous: `p50_s`, `p95_s`, `p99_s`, `throughput` of the last go, None without one."""
    before = previous or {}
    measures = [m for m in _measures(summary, target) if m.value is not None]
    words = [f"{m.words()}{_before(before.get(m.key), m.unit)}" for m in measures]
    panels = []
    for heading, unit in (("Latency", "s"), ("Throughput", "per_s")):
        bars = tuple(
            Bar(m.name, m.value, m.target, before.get(m.key))
            for m in measures
            if m.unit == unit and m.value is not None
        )
        if bars:
            panels.append(Panel(heading, unit, bars=bars))
    return Chart(title, f"{title}: {listing(words)}", tuple(panels))


def _before(value: float | None, unit: str) -> str:
    return f", last go {_measured(value, unit)}" if value is not None else ""


def performance_fact(summary: LoadSummary) -> dict[str, float | int]:
    """What was measured, for later runs to be compared with; absent: not said."""
    known = {
        "p50_s": summary.p50_s,
        "p95_s": summary.p95_s,
        "p99_s": summary.p99_s,
        "throughput": summary.throughput,
        "requests": int(summary.requests) if summary.requests is not None else None,
        "failed_ratio": summary.failed_ratio,
    }
    return {name: value for name, value in known.items() if value is not None}


def _measures(summary: LoadSummary, target: PerformanceTarget) -> tuple[_Measure, ...]:
    return (
        _Measure("p50_s", "p50", "s", True, summary.p50_s, target.p50_s),
        _Measure("p95_s", "p95", "s", True, summary.p95_s, target.p95_s),
        _Measure("p99_s", "p99", "s", True, summary.p99_s, target.p99_s),
        _Measure("throughput", "throughput", "per_s", False, summary.throughput, target.throughput),
    )


def _wrong_target(target: PerformanceTarget) -> str | None:
    """Why there is nothing to judge by."""
    targets = [m for m in _measures(LoadSummary(), target) if m.target is not None]
    if not targets:
        return "no target is configured to hold it against"
    wrong = [m.name for m in targets if m.target is None or not (0 < m.target < math.inf)]
    return f"the target of {listing(wrong)} is not above zero" if wrong else None


def _beyond(change: float | None, tolerance: float) -> bool:
    return change is not None and change > tolerance + _ROUNDING


def _all(measures: list[_Measure]) -> str:
    return listing(m.words() for m in measures)


def _measured(value: float, unit: str) -> str:
    return duration(value) if unit == "s" else f"{measure(value, '')}/s"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
