"""Numbers, moments and gaps as the pictures show them."""

from __future__ import annotations

import math

import pytest

from integrations.charts.scales import clock_format, day_words, said, scale_for
from integrations.charts.series import last_of, marked, with_gaps
from runbook.charts import Bar, Chart, Limit, Line, Panel, chart_from_json, chart_to_json


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0042, "ratio", "0.42 %"),
        (0.99858, "ratio", "99.858 %"),
        (1.0, "ratio", "100 %"),
        (0.253, "s", "253 ms"),
        (0.0000042, "s", "4.2 µs"),
        (1.25, "s", "1.25 s"),
        (90.0, "s", "90 s"),
        (1800.0, "s", "30 min"),
        (0.0, "s", "0 s"),
        (123_456_789.0, "bytes", "123 MB"),
        (-1_118_481.0, "bytes_per_s", "-1.12 MB/s"),
        (842.0, "per_s", "842/s"),
        (1_234.0, "count", "1.23 k"),
        (7.0, "count", "7"),
        (3e18, "count", "3e+18"),
        (1.5, "parts", "1.5 parts"),
        (math.nan, "s", "no data"),
        (None, "s", "no data"),
        (-0.25, "s", "-250 ms"),
    ],
)
def test_a_value_is_said_as_people_read_it(value: float | None, unit: str, words: str) -> None:
    assert said(value, unit) == words


def test_the_ticks_of_an_axis_are_exact_to_their_distance() -> None:
    scale = scale_for((0.0, 0.03), "ratio")
    assert scale.label(0.5)(2.5, None) == "2.5 %"
    assert scale.label(1.0)(2.0, None) == "2 %"
    assert scale_for((), "bytes").label(0.0)(0.0, None) == "0 B"
    assert scale_for((math.nan, math.inf), "s").label(1.0)(-0.0, None) == "0 s"


def test_a_missing_sample_and_what_is_no_number_leave_a_gap() -> None:
    points = [(60.0 * i, 1.0) for i in range(10) if i != 4]
    shown = with_gaps(points)
    assert [at for at, value in shown if math.isnan(value)] == [240.0]
    assert [math.isnan(value) for _, value in with_gaps([(0.0, 1.0), (60.0, math.inf), (120.0, 2.0)])] == [
        False, True, False,
    ]  # fmt: skip


def test_points_are_put_in_order_and_impossible_moments_left_out() -> None:
    assert with_gaps([(120.0, 3.0), (-5.0, 0.0), (60.0, 2.0), (1e12, 9.0)]) == [(60.0, 2.0), (120.0, 3.0)]
    assert with_gaps([]) == []


def test_a_point_alone_between_gaps_carries_a_marker() -> None:
    points = [(float(i), 1.0 if i != 49 and i != 51 else math.nan) for i in range(100)]
    assert 50 in marked(points, shift=0)
    assert marked([(0.0, 1.0)], shift=5) == [0]
    assert marked([], shift=1) == []


def test_the_newest_value_is_the_last_one_that_is_a_number() -> None:
    assert last_of([(0.0, 1.0), (1.0, 2.0), (2.0, math.nan)]) == 2.0
    assert math.isnan(last_of([(0.0, math.nan)]))


def test_moments_are_written_by_what_the_axis_spans() -> None:
    assert clock_format(60) == "%H:%M:%S"
    assert clock_format(3600) == "%H:%M"
    assert clock_format(30 * 86400) == "%d %b"
    assert day_words([1_795_000_000.0]) == "UTC, 18 Nov 2026"
    assert day_words([1_795_000_000.0, 1_795_100_000.0]) == "UTC, 18 Nov to 19 Nov 2026"


def test_a_chart_survives_being_stored_with_no_data_as_null() -> None:
    chart = Chart(
        "t", "a", (Panel("p", "s", (Line("l", ((1.0, 2.0), (2.0, math.nan))),), (Bar("b", 1.0, None, 2.0),),
                         (Limit("m", 3.0, above=False),)),),
    )  # fmt: skip
    data = chart_to_json(chart)
    assert data["panels"][0]["lines"][0]["points"] == [[1.0, 2.0], [2.0, None]]
    assert chart_to_json(chart_from_json(data)) == data
    assert chart_from_json(data).panels[0].bars == chart.panels[0].bars
