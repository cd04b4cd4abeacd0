"""Held against the target: more than 10 % worse fails, exactly 10 % passes, better is noted, unknown is never a pass."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.jobs import PerformanceTarget
from runbook.reports.load_summary import LoadSummary, Unreadable
from runbook.rules.performance import judge_performance, performance_chart
from runbook.verdicts import Outcome, Verdict

TARGET = PerformanceTarget(p50_s=0.1, p95_s=0.4, p99_s=0.8, throughput=100.0)


def summary(**changes: float | None) -> LoadSummary:
    given = {"p50_s": 0.1, "p95_s": 0.4, "p99_s": 0.8, "throughput": 100.0, "requests": 6000.0, "failed_ratio": 0.0}
    return LoadSummary(**{**given, **changes})  # type: ignore[arg-type]


def judged(found: LoadSummary | Unreadable, target: PerformanceTarget = TARGET) -> Verdict:
    return judge_performance("performance", found, target, 0.1, 0.01)


def test_what_meets_its_target_passes() -> None:
    verdict = judged(summary())
    assert (verdict.outcome, verdict.code) == (Outcome.PASS, "ok")
    assert "p95 400 ms (target 400 ms)" in verdict.reason


@pytest.mark.parametrize("changes", [{"p50_s": 0.11}, {"p95_s": 0.44}, {"p99_s": 0.88}, {"throughput": 90.0}])
def test_exactly_ten_percent_worse_passes(changes: dict[str, float]) -> None:
    assert judged(summary(**changes)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"p50_s": 0.1101}, "p50 110.1 ms (target 100 ms)"),
        ({"p95_s": 0.441}, "p95 441 ms (target 400 ms)"),
        ({"p99_s": 1.5}, "p99 1.5 s (target 800 ms)"),
        ({"throughput": 89.9}, "throughput 89.9/s (target 100/s)"),
    ],
)
def test_more_than_ten_percent_worse_in_anything_fails_with_the_number(changes: dict[str, float], words: str) -> None:
    verdict = judged(summary(**changes))
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "performance.worse")
    assert words in verdict.reason


def test_all_that_is_worse_is_named_at_once() -> None:
    reason = judged(summary(p95_s=0.6, throughput=50.0)).reason
    assert "p95 600 ms" in reason
    assert "throughput 50/s" in reason


def test_more_than_ten_percent_better_passes_and_is_noted() -> None:
    verdict = judged(summary(p95_s=0.2, throughput=150.0))
    assert (verdict.outcome, verdict.code) == (Outcome.PASS, "performance.better")
    assert "better than the target: p95 and throughput" in verdict.reason


@pytest.mark.parametrize("missing", ["p50_s", "p95_s", "p99_s", "throughput", "requests", "failed_ratio"])
def test_what_is_not_said_is_no_data(missing: str) -> None:
    verdict = judged(summary(**{missing: None}))
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "performance.missing")


def test_a_percentile_without_a_target_needs_no_value() -> None:
    assert judged(summary(p99_s=None), PerformanceTarget(p95_s=0.4)).outcome is Outcome.PASS


def test_a_missing_percentile_of_k6_names_the_option_for_it() -> None:
    found = LoadSummary(0.1, 0.4, None, 100, 6000, 0, source="k6")
    assert "--summary-trend-stats" in judged(found).remedy


def test_something_certainly_worse_fails_though_another_number_is_missing() -> None:
    assert judged(summary(p99_s=None, p95_s=0.9)).outcome is Outcome.FAIL


def test_a_load_without_requests_is_no_data() -> None:
    verdict = judged(summary(requests=0, throughput=0, failed_ratio=None))
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "performance.no_requests")


def test_failed_requests_prove_no_throughput() -> None:
    assert judged(summary(failed_ratio=0.01)).outcome is Outcome.PASS
    verdict = judged(summary(failed_ratio=0.02))
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "performance.failed_requests")
    assert "2 %" in verdict.reason


def test_unreadable_is_no_data() -> None:
    verdict = judged(Unreadable("no JSON object is at the end of its output"))
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "performance.unreadable")


@pytest.mark.parametrize(
    "target", [PerformanceTarget(), PerformanceTarget(p95_s=0.0, throughput=1), PerformanceTarget(p95_s=math.nan)]
)
def test_without_a_target_it_is_a_failure_of_the_configuration(target: PerformanceTarget) -> None:
    assert judged(summary(), target).code == "performance.no_target"
    assert judged(summary(), target).outcome is Outcome.FAIL


def test_every_number_is_evidence_with_what_it_may_be_at_worst() -> None:
    limits = {e.name: e.limit for e in judged(summary()).evidence}
    assert limits == {"p50": 0.11, "p95": 0.44, "p99": 0.88, "throughput": 90.0, "failed requests": 0.01}


def test_the_chart_shows_measured_target_and_the_last_go() -> None:
    chart = performance_chart("Performance", summary(p99_s=None), TARGET, {"p95_s": 0.38, "throughput": 101.0})
    latency, throughput = chart.panels
    assert [(bar.name, bar.value, bar.target, bar.previous) for bar in latency.bars] == [
        ("p50", 0.1, 0.1, None),
        ("p95", 0.4, 0.4, 0.38),
    ]
    assert (throughput.unit, throughput.bars[0].previous) == ("per_s", 101.0)
    assert "p95 400 ms (target 400 ms), last go 380 ms" in chart.alt


_seconds = st.floats(0.001, 60)


@given(_seconds, _seconds, st.floats(0, 0.5))
def test_worse_than_the_tolerance_fails_and_nothing_else_does(value: float, target: float, tolerance: float) -> None:
    found = LoadSummary(p95_s=value, requests=1000, failed_ratio=0.0)
    outcome = judge_performance("p", found, PerformanceTarget(p95_s=target), tolerance, 0.01).outcome
    excess = value / target - 1 - tolerance
    if excess > 1e-6:
        assert outcome is Outcome.FAIL
    elif excess < -1e-6:
        assert outcome is Outcome.PASS


@given(st.floats(0, 1000), st.floats(0.001, 1000), st.floats(0, 0.5))
def test_less_throughput_is_worse(value: float, target: float, tolerance: float) -> None:
    found = LoadSummary(throughput=value, requests=1000, failed_ratio=0.0)
    outcome = judge_performance("p", found, PerformanceTarget(throughput=target), tolerance, 0.01).outcome
    lack = 1 - value / target - tolerance
    if lack > 1e-6:
        assert outcome is Outcome.FAIL
    elif lack < -1e-6:
        assert outcome is Outcome.PASS
