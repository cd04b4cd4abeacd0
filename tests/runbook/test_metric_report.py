"""What `/forge metrics` says of series as Prometheus answers them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook import series
from runbook.charts import MOST_POINTS, Chart
from runbook.metric_chart import metric_chart, thinned
from runbook.metric_report import (
    BUCKETS,
    CANARY,
    STABLE,
    STEP_S,
    MetricLine,
    MetricReport,
    history,
    make_report,
    read_series,
    report_query,
    summary,
)
from runbook.policy import Policy, Service
from runbook.ports import Sample, Series
from runbook.series import METRICS, Windows, recorded_as
from runbook.values import Environment

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SHOP = Service("shop", "acme/shop", (), {})
POINTS = 241
Values = Callable[[int], float]


def recorded(metric: str, values: float | Values, track: str = STABLE, points: int = POINTS, **labels: str) -> Series:
    """points: the newest of the last hour's; values: a constant, or by place in the hour."""
    given_ = values if callable(values) else lambda _: values
    samples = tuple(
        Sample(NOON - timedelta(seconds=STEP_S * (POINTS - 1 - place)), float(given_(place)))
        for place in range(POINTS - points, POINTS)
    )
    named = {"__name__": recorded_as(metric, Windows()), "service": "shop", "env": "staging", "track": track}
    return Series({**named, **labels}, samples)


def reported(*answer: Series, service: Service = SHOP, policy: Policy | None = None) -> MetricReport:
    return make_report(
        read_series(answer, NOON, Windows()), NOON, service, Environment.STAGING, policy or Policy()
    )  # fmt: skip


def line(report: MetricReport, metric: str, track: str = STABLE) -> MetricLine:
    return next(each for each in report.lines if (each.metric, each.track) == (metric, track))


def drawn(*answer: Series) -> Chart | None:
    return metric_chart(read_series(answer, NOON, Windows()), reported(*answer), Policy())


def test_one_query_names_every_series_and_nothing_else() -> None:
    query = report_query(replace(SHOP, without=(series.QUEUE_DEPTH,)), Environment.STAGING, Windows("2m", "7d", "28d"))
    found = re.fullmatch(r'\{__name__=~"([^"]+)",service="shop",env="staging"\}', query)
    assert found is not None
    names = found[1].split("|")
    assert len(names) == len(METRICS) - 1
    assert {"forge:error_ratio:2m", "forge:availability_ratio:28d", "forge:queue_lag_baseline_seconds:7d"} <= set(names)
    assert not any("bucket" in name or "queue_depth" in name for name in names)


def test_a_line_has_its_value_of_now_and_the_hour_in_twelve_parts() -> None:
    found = line(reported(recorded(series.REQUEST_RATE, lambda place: place)), series.REQUEST_RATE)
    assert found.value == 240
    assert len(found.history) == BUCKETS
    assert found.history[0] == pytest.approx(9.5)  # the mean of 0 … 19
    assert found.level is None


def test_the_worst_crossed_limit_is_named_and_all_of_them_are_shown() -> None:
    found = line(reported(recorded(series.ERROR_RATIO, 0.04)), series.ERROR_RATIO)
    assert [(b.level, b.limit, b.for_s, b.crossed) for b in found.bounds] == [
        ("warning", 0.01, 600.0, True),
        ("critical", 0.03, 300.0, True),
    ]
    assert found.level == "critical"
    assert line(reported(recorded(series.ERROR_RATIO, 0.02)), series.ERROR_RATIO).level == "warning"
    assert line(reported(recorded(series.CPU, 0.95)), series.CPU).level == "limit"
    assert line(reported(recorded(series.READINESS_RATIO, 0.9)), series.READINESS_RATIO).level == "critical"


def test_queue_lag_and_time_outs_are_held_against_what_is_normal() -> None:
    lag = (recorded(series.QUEUE_LAG, 9), recorded(series.QUEUE_LAG_BASELINE, 4))
    assert [(b.level, b.limit) for b in line(reported(*lag), series.QUEUE_LAG).bounds] == [("warning", 4.0)]
    assert line(reported(lag[0]), series.QUEUE_LAG).bounds == ()
    timeouts = (recorded(series.DEPENDENCY_TIMEOUTS, 0.013), recorded(series.DEPENDENCY_TIMEOUTS_BASELINE, 0.01))
    (bound,) = line(reported(*timeouts), series.DEPENDENCY_TIMEOUTS).bounds
    assert (bound.level, bound.limit, bound.crossed) == ("limit", 0.012, True)


def test_both_tracks_are_shown_where_a_canary_has_series() -> None:
    report = reported(recorded(series.ERROR_RATIO, 0.001), recorded(series.ERROR_RATIO, 0.05, CANARY, points=20))
    assert [(each.track, each.level) for each in report.lines] == [(STABLE, None), (CANARY, "critical")]
    assert report.targets[2].kept is None  # without request rates no ratio of the hour


def test_missing_series_are_named_and_those_that_the_service_does_not_have_are_not() -> None:
    report = reported(recorded(series.CPU, 0.1), service=replace(SHOP, without=(series.QUEUE_DEPTH,)))
    assert set(report.missing) == set(METRICS) - {series.CPU, series.QUEUE_DEPTH}
    assert report.without == (series.QUEUE_DEPTH,)
    assert "services.shop.without" in report.remedy
    assert reported(*(recorded(name, 0.5) for name in METRICS)).remedy == ""


def test_a_ratio_of_what_did_not_happen_is_not_missing() -> None:
    quiet = reported(recorded(series.JOB_SUCCESS_RATE, 0), recorded(series.JOB_FAILURE_RATE, 0))
    assert series.JOB_FAILURE_RATIO not in quiet.missing
    busy = reported(recorded(series.JOB_SUCCESS_RATE, 2), recorded(series.JOB_FAILURE_RATE, 0))
    assert series.JOB_FAILURE_RATIO in busy.missing


def test_a_series_of_the_canary_alone_is_missing_for_the_stable_track() -> None:
    assert series.CPU in reported(recorded(series.CPU, 0.1, CANARY)).missing


def test_what_is_no_number_now_says_why() -> None:
    nan = line(reported(recorded(series.JOB_FAILURE_RATIO, math.nan)), series.JOB_FAILURE_RATIO)
    assert (nan.value, nan.trouble, nan.level) == (None, "not a number now", None)
    two = reported(recorded(series.CPU, 0.1, job="a"), recorded(series.CPU, 0.2, job="b"))
    assert line(two, series.CPU).trouble == "2 series where one is expected"
    old = recorded(series.CPU, 0.1)
    ended = Series(old.labels, old.samples[:-40])
    assert line(reported(ended), series.CPU).trouble == "nothing since 11:50 UTC"
    assert line(reported(ended), series.CPU).value is None


def test_a_series_without_a_track_is_the_stable_one_and_unknown_ones_are_left_out() -> None:
    plain = recorded(series.CPU, 0.1)
    labels = {name: value for name, value in plain.labels.items() if name != "track"}
    other = Series({**labels, "__name__": "forge:something:1m"}, plain.samples)
    assert [(each.metric, each.track) for each in reported(Series(labels, plain.samples), other).lines] == [
        (series.CPU, STABLE)
    ]


# --- targets ----------------------------------------------------------------------------------------------------------


def test_targets_say_whether_each_is_kept() -> None:
    report = reported(
        recorded(series.AVAILABILITY, 0.9989),
        recorded(series.LATENCY_P95, 0.25),
        recorded(series.REQUEST_RATE, 100),
        recorded(series.ERROR_RATE, 0.5),
    )
    assert [(t.title, t.value, t.limit, t.over, t.kept) for t in report.targets] == [
        ("availability", 0.9989, 0.999, "30d", False),
        ("API p95 latency", 0.25, 0.4, "the last hour", True),
        ("error rate", 0.005, 0.01, "the last hour", True),
    ]


def test_a_busy_minute_weighs_more_than_a_quiet_one_in_the_error_rate() -> None:
    report = reported(
        recorded(series.REQUEST_RATE, lambda place: 1000 if place < 20 else 0.1),
        recorded(series.ERROR_RATE, lambda place: 0 if place < 20 else 0.1),
    )
    assert report.targets[2].kept


def test_a_target_at_its_limit_is_missed_but_for_availability() -> None:
    report = reported(recorded(series.AVAILABILITY, 0.999), recorded(series.LATENCY_P95, 0.4))
    assert [target.kept for target in report.targets] == [True, False, None]


def test_the_summary_counts_what_needs_a_look() -> None:
    report = reported(recorded(series.ERROR_RATIO, 0.04), recorded(series.LATENCY_P95, 0.6), recorded(series.CPU, 0.99))
    assert summary(report) == (
        "shop in staging at 12:00 UTC: 0 of 3 targets kept (2 unknown), 1 beyond a critical threshold, "
        f"1 beyond a warning threshold, 1 beyond a limit, {len(METRICS) - 3} series missing."
    )


def test_the_newest_point_counts_although_prometheus_rounds_its_moment() -> None:
    newest = Sample(NOON + timedelta(microseconds=400), 3.0)
    found = line(reported(Series(recorded(series.CPU, 0).labels, (newest,))), series.CPU)
    assert (found.value, found.history[-1]) == (3.0, 3.0)


# --- the picture ------------------------------------------------------------------------------------------------------


def test_the_picture_has_four_panels_with_their_limits_and_says_the_numbers() -> None:
    chart = drawn(
        recorded(series.REQUEST_RATE, 42),
        recorded(series.ERROR_RATIO, 0.004),
        recorded(series.ERROR_RATIO, 0.002, CANARY, points=30),
        *(recorded(name, 0.2) for name in (series.LATENCY_P50, series.LATENCY_P95, series.LATENCY_P99)),
        recorded(series.CPU, 0.34),
    )
    assert chart is not None
    assert [(panel.unit, [each.name for each in panel.lines]) for panel in chart.panels] == [
        ("per_s", ["request rate"]),
        ("ratio", ["error rate", "error rate, canary"]),
        ("s", ["latency p50", "latency p95", "latency p99"]),
        ("ratio", ["CPU"]),
    ]
    limits = [(limit.name, limit.value) for panel in chart.panels for limit in panel.limits]
    assert limits == [("target", 0.01), ("critical", 0.03), ("p95 target", 0.4), ("CPU", 0.9)]
    for words in ("shop in staging", "42 requests per second", "error rate 0.4 %", "latency p95 200 ms", "34 %"):
        assert words in chart.alt


def test_without_series_there_is_no_picture() -> None:
    assert drawn() is None
    assert drawn(recorded(series.QUEUE_DEPTH, 3)) is None


# --- properties -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(count=st.integers(0, 2000))
def test_thinning_keeps_the_order_and_the_newest_point(count: int) -> None:
    points = tuple((float(place), float(place)) for place in range(count))
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS
    assert list(kept) == sorted(set(kept))
    assert kept[-1:] == points[-1:]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-4000, 100), st.floats(-1e9, 1e9)), max_size=50))
def test_the_history_lies_between_the_least_and_the_most(offsets: list[tuple[float, float]]) -> None:
    points = tuple(sorted((NOON.timestamp() + offset, value) for offset, value in offsets))
    parts = history(points, NOON)
    assert len(parts) == BUCKETS
    within = [value for moment, value in points if -3600 - STEP_S < moment - NOON.timestamp() < STEP_S]
    known = [part for part in parts if part is not None]
    assert bool(known) == bool(within)
    for part in known:
        assert min(within) - 1e-3 <= part <= max(within) + 1e-3


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*METRICS, "unknown"]), st.sampled_from([STABLE, CANARY, "other"]),
                  st.floats() | st.integers(-5, 5)),
        max_size=20,
    )
)  # fmt: skip
def test_any_answer_makes_a_report_and_a_picture(given_: list[tuple[str, str, float]]) -> None:
    answer = [
        recorded(metric, value, track, points=3)
        if metric in METRICS
        else Series({"__name__": "up"}, (Sample(NOON, value),))
        for metric, track, value in given_
    ]
    report = reported(*answer)
    assert set(report.missing).isdisjoint({each.metric for each in report.lines if each.track == STABLE})
    assert summary(report)
    chart = drawn(*answer)
    assert chart is None or all(math.isfinite(v) for p in chart.panels for each in p.lines for _, v in each.points)
