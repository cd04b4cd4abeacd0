"""Alerts are found in what was recorded, as often as they were sustained, and never where they were not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import series
from runbook.policy import CRITICAL, WARNING, Threshold
from runbook.ports import Sample, Series
from runbook.rules.completion import Alert, Quiet, alerts_of, judge_alert, lag_alert, not_yet
from runbook.series import Windows
from runbook.verdicts import Outcome, Verdict
from tests.fakes.clock import NOON

STEP_S, FOR_S, QUIET_S = 15, 120.0, 600.0
QUIET = Quiet(
    service="shop", env="prod", windows=Windows(), begin=NOON - timedelta(seconds=QUIET_S), end=NOON, step_s=STEP_S
)
HIGH = Threshold("error rate", series.ERROR_RATIO, True, 0.01, FOR_S)
MOMENTS = tuple(NOON - timedelta(seconds=STEP_S * n) for n in range(int((QUIET_S + FOR_S) / STEP_S), -1, -1))


def alert(threshold: Threshold = HIGH) -> Alert:
    found = alerts_of((threshold,), (), (), QUIET)
    return next(each for each in found if each.guard.name == threshold.name)


def recorded(values: Sequence[float | None], track: str = "canary") -> Series:
    """None: no sample."""
    samples = (Sample(at, value) for at, value in zip(MOMENTS, values, strict=True) if value is not None)
    return Series({"track": track}, tuple(samples))


def judged(values: Sequence[float | None], traffic: Sequence[float | None] | None = None) -> Verdict:
    rates = [[recorded(traffic if traffic is not None else [40.0] * len(MOMENTS))]]
    return judge_alert(alert(), [recorded(values)], rates, QUIET)


def sustained(bad: list[bool]) -> bool:
    """By definition: at some moment of the quiet time it had held for the whole time."""
    steps = int(FOR_S / STEP_S)
    ends = [n for n, at in enumerate(MOMENTS) if at >= QUIET.begin]
    return any(all(bad[n - steps : n + 1]) for n in ends)


RUNS = st.lists(st.tuples(st.booleans(), st.integers(1, 14)), min_size=1, max_size=20)


@given(RUNS)
def test_what_was_sustained_is_found_and_nothing_else(runs: list[tuple[bool, int]]) -> None:
    bad = [state for state, length in runs for _ in range(length)]
    bad = (bad + [False] * len(MOMENTS))[: len(MOMENTS)]
    verdict = judged([0.02 if each else 0.001 for each in bad])
    assert verdict.outcome is (Outcome.FAIL if sustained(bad) else Outcome.PASS)


@given(RUNS, st.sets(st.integers(0, len(MOMENTS) - 1), max_size=len(MOMENTS)))
def test_what_the_samples_that_are_left_show_to_be_sustained_is_found(
    runs: list[tuple[bool, int]], lost: set[int]
) -> None:
    bad = [state for state, length in runs for _ in range(length)]
    bad = (bad + [False] * len(MOMENTS))[: len(MOMENTS)]
    values: list[float | None] = [None if n in lost else 0.02 if each else 0.001 for n, each in enumerate(bad)]
    if sustained([_seen(bad, lost, n) for n in range(len(bad))]):
        assert judged(values).outcome is Outcome.FAIL


def _seen(bad: list[bool], lost: set[int], place: int) -> bool:
    """One missed sample between two bad ones is bad; more of them are nothing."""
    if place not in lost:
        return bad[place]
    beside = (place - 1, place + 1)
    return all(0 <= n < len(bad) and n not in lost and bad[n] for n in beside)


@given(st.lists(st.one_of(st.none(), st.just(math.nan), st.floats(0, 1)), min_size=len(MOMENTS), max_size=len(MOMENTS)))
def test_whatever_is_recorded_there_is_an_answer(values: list[float | None]) -> None:
    assert judged(values).outcome in (Outcome.PASS, Outcome.FAIL, Outcome.NO_DATA)


def test_two_series_of_one_track_are_nobodys_answer() -> None:
    good = recorded([0.001] * len(MOMENTS))
    verdict = judge_alert(alert(), [good, good], [[good]], QUIET)
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "metrics.ambiguous")


def test_the_time_of_what_was_sustained_is_told() -> None:
    values = [0.001] * 20 + [0.05] * 12 + [0.001] * (len(MOMENTS) - 32)
    verdict = judged(values)
    assert verdict.code == "completion.sustained"
    begun: datetime = MOMENTS[20]
    assert f"from {begun:%H:%M:%S} to {begun + timedelta(seconds=FOR_S):%H:%M:%S} UTC at least" in verdict.reason
    assert "at worst 5 %" in verdict.reason


def test_a_ratio_without_traffic_is_no_hole() -> None:
    half = len(MOMENTS) // 2
    values: list[float | None] = [0.001] * half + [None] * (len(MOMENTS) - half)
    asleep = [40.0] * half + [0.0] * (len(MOMENTS) - half)
    assert judged(values, asleep).outcome is Outcome.PASS
    assert judged(values).code == "completion.gap"
    nothing: list[float | None] = [None] * len(MOMENTS)
    assert judged(nothing, [0.0] * len(MOMENTS)).code == "completion.no_traffic"
    assert judged(nothing).code == "completion.not_recorded"


def test_the_runbooks_alerts_are_all_looked_for() -> None:
    found = alerts_of(WARNING, CRITICAL, (), QUIET)
    assert [(a.guard.name, a.severity, a.guard.for_s) for a in found if a.severity == "critical"][-2:] == [
        ("PostgreSQL replication lag", "critical", 300.0),
        ("OOM restart loop", "critical", 0.0),
    ]
    own = Threshold("lag", series.DB_REPLICATION_LAG, True, 30.0, 60.0, "s")
    names = [a.guard.name for a in alerts_of(WARNING, (*CRITICAL, own), (), QUIET)]
    assert "lag" in names
    assert "PostgreSQL replication lag" not in names
    assert lag_alert(5.0, 900.0, QUIET).guard.limit == 5.0


@pytest.mark.parametrize(("passed_s", "early"), [(0.0, True), (1799.0, True), (1800.0, False), (3600.0, False)])
def test_the_quiet_time_begins_with_the_full_roll_out(passed_s: float, early: bool) -> None:
    assert (not_yet(1800.0, passed_s) is not None) is early
