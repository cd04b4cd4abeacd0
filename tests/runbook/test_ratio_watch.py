"""Recorded rates become counts, each sample once, whoever looks: the guard live, the guard after a downtime, or the gate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.describe import what_changed
from runbook.plan import Plan, RatioGuard, Span
from runbook.ports import Sample, Series
from runbook.rules.canary_ratio import Counts
from runbook.rules.ratio_watch import (
    RatioSample,
    RatioWatch,
    Weights,
    by_track,
    judge_watch,
    limits_of,
    next_watch,
    on_grid,
    replay_ratio,
    sample_of,
    samples_of,
    weight_at,
    weights_of,
)
from runbook.steps.control import Announce
from runbook.values import Environment
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON

GUARD = RatioGuard(
    name="canary errors", requests="forge:request_rate:30s", errors="forge:error_rate:30s", ratio=2.0, alpha=0.001,
    minimum_requests=50, floor=0.001,
)  # fmt: skip
LIMITS = limits_of(GUARD)
TICK = 15.0
SHIFTED: Weights = ((NOON, 5),)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def series(value: float | None, moment: datetime) -> list[Series]:
    return [] if value is None else [Series({}, (Sample(moment, value),))]


def sample(
    seconds: float, canary: tuple[float, float] | None = (20.0, 0.2), stable: tuple[float, float] | None = (380.0, 3.8)
) -> RatioSample:
    moment = at(seconds)
    tracks = {"canary": canary, "stable": stable}
    requests = {track: series(rates[0], moment) for track, rates in tracks.items() if rates is not None}
    errors = {track: series(rates[1], moment) for track, rates in tracks.items() if rates is not None}
    return sample_of(GUARD, requests, errors, moment)


def fed(*samples: RatioSample, weights: Weights = SHIFTED, watch: RatioWatch | None = None) -> RatioWatch:
    return replay_ratio(watch or RatioWatch(), samples, GUARD, weights, TICK, LIMITS)


def rounds(begin: int, end: int, make: Callable[[float], RatioSample] = sample) -> list[RatioSample]:
    return [make(float(s)) for s in range(begin, end + 1, int(TICK))]


def test_a_sample_stands_for_one_interval() -> None:
    assert fed(sample(15)).state.canary == Counts(300.0, 3.0)
    assert fed(*rounds(15, 60)).state.canary == Counts(1200.0, 12.0)


def test_the_same_sample_twice_counts_once_and_an_older_one_not_at_all() -> None:
    once = fed(*rounds(15, 60))
    assert fed(sample(60), sample(30), watch=once) == once


def test_a_missed_scrape_is_covered_by_the_next_sample_and_a_longer_gap_is_not() -> None:
    assert fed(sample(15), sample(45)).state.canary.requests == 20.0 * 45
    assert fed(sample(15), sample(15 + 600)).state.canary.requests == 20.0 * 30


def test_before_the_first_shift_only_stable_counts() -> None:
    watch = fed(*rounds(-60, -15), weights=SHIFTED)
    assert watch.state.canary == Counts()
    assert watch.state.stable.requests == 380.0 * 60
    assert fed(*rounds(15, 60), weights=()).state.canary == Counts()


def test_a_canary_at_five_times_stables_errors_is_found_and_one_at_the_same_rate_is_not() -> None:
    def worse(s: float) -> RatioSample:
        return sample(s, canary=(20.0, 1.0))

    assert judge_watch(fed(*rounds(15, 600, worse)), GUARD, LIMITS, TICK).code == "ratio.worse"
    assert judge_watch(fed(*rounds(15, 600)), GUARD, LIMITS, TICK).outcome is Outcome.PASS


def test_the_breachs_evidence_names_both_ratios_the_limit_and_the_samples() -> None:
    verdict = judge_watch(fed(*rounds(15, 600, lambda s: sample(s, canary=(20.0, 1.0)))), GUARD, LIMITS, TICK)
    assert verdict.gate == GUARD.name
    found = {fact.name: fact for fact in verdict.evidence}
    assert found["canary's error ratio"].value == pytest.approx(0.05, rel=0.1)
    assert found["canary's error ratio"].limit == pytest.approx(0.02, rel=0.1)
    assert found["canary's error ratio"].source == "forge:error_rate:30s / forge:request_rate:30s"
    assert (found["canary's error ratio"].samples or 0) >= GUARD.minimum_requests


def test_no_requests_of_the_canary_are_no_data_and_no_breach() -> None:
    verdict = judge_watch(fed(*rounds(15, 600, lambda s: sample(s, canary=(0.0, 0.0)))), GUARD, LIMITS, TICK)
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "ratio.no_requests")


@pytest.mark.parametrize("rates", [None, (math.nan, math.nan), (20.0, math.inf)])
def test_a_canary_whose_rates_are_missing_for_longer_than_a_scrape_is_told_by_its_name(
    rates: tuple[float, float] | None,
) -> None:
    missing = [sample(s, canary=rates) for s in (75.0, 90.0, 105.0)]
    early = judge_watch(fed(*rounds(15, 60), *missing[:2]), GUARD, LIMITS, TICK)
    late = judge_watch(fed(*rounds(15, 60), *missing), GUARD, LIMITS, TICK)
    assert not early.code.startswith("metrics.")
    assert (late.outcome, late.code.partition(".")[0]) == (Outcome.NO_DATA, "metrics")


def test_at_100_percent_stable_may_be_silent_and_its_stored_counts_judge() -> None:
    weights: Weights = ((NOON, 25), (at(600), 100))
    calm = fed(*rounds(15, 600, lambda s: sample(s, canary=(100.0, 1.0), stable=(300.0, 3.0))), weights=weights)
    later = rounds(615, 1500, lambda s: sample(s, canary=(400.0, 20.0), stable=None))
    watch = replay_ratio(calm, later, GUARD, weights, TICK, LIMITS)
    assert watch.missing is None
    assert judge_watch(watch, GUARD, LIMITS, TICK).code == "ratio.worse"


def test_the_fact_of_the_traffic_gives_the_weights_the_routers_word_first() -> None:
    def entry(workload: str, driver: str, weight: int, seconds: float) -> dict[str, object]:
        return {"workload": workload, "driver": driver, "weight": weight, "at": at(seconds).isoformat()}

    facts = {"traffic": [entry("worker", "replicas", 5, 0), entry("web", "route", 5, 10), entry("api", "route", 5, 20),
                         entry("web", "route", 25, 600)]}  # fmt: skip
    assert weights_of(facts) == ((at(10), 5), (at(600), 25))
    assert weights_of({"traffic": facts["traffic"][:1]}) == ((at(0), 5),)
    assert weights_of({}) == weights_of({"traffic": None}) == ()
    assert [weight_at(weights_of(facts), at(s)) for s in (9, 10, 599, 600)] == [None, 5, 5, 25]


def test_a_ratio_that_the_policy_changed_is_told_by_its_name() -> None:
    def plan(ratio: RatioGuard) -> Plan:
        span = Span(
            guards=(), ratios=(ratio,), on_breach="rollback", steps=(Announce(title="Announce", moment="phase"),)
        )
        return Plan(procedure="prod", service="shop", environment=Environment.PROD, version="v1.4.0", nodes=(span,))

    assert what_changed(plan(GUARD), plan(replace(GUARD, ratio=3.0))) == ("guard canary errors, ratio: 2 → 3",)


def test_two_series_of_one_track_are_no_number() -> None:
    two = {"canary": [*series(1.0, NOON), *series(2.0, NOON)], "stable": series(1.0, NOON)}
    trouble = sample_of(GUARD, two, two, NOON).canary.trouble
    assert trouble is not None
    assert trouble.code == "metrics.ambiguous"


def test_an_answer_is_sorted_by_track_and_foreign_series_are_left_out() -> None:
    answer = [
        Series({"service": "shop", "env": "prod", "track": "canary"}, ()),
        Series({"service": "shop"}, ()),
        Series({"service": "shop", "env": "staging", "track": "canary"}, ()),
        Series({"service": "desk", "env": "prod", "track": "canary"}, ()),
    ]
    assert {track: len(found) for track, found in by_track(answer, "shop", "prod").items()} == {
        "canary": 1,
        "stable": 1,
    }


def test_the_grid_is_the_same_for_everybody() -> None:
    assert on_grid(at(14.9), 15.0) == NOON
    assert on_grid(at(15.0), 15.0) == at(15)


@settings(max_examples=60, deadline=None)
@given(
    errors=st.lists(st.floats(0.0, 3.0), min_size=4, max_size=40),
    cut=st.integers(1, 39),
    lost=st.sets(st.integers(0, 39), max_size=5),
)
def test_a_restart_in_the_middle_gives_the_same_state_as_none(errors: list[float], cut: int, lost: set[int]) -> None:
    """Whatever was counted before the restart, the range query's samples come on top once."""
    samples = [
        sample(15.0 * place, canary=None if place in lost else (20.0, rate)) for place, rate in enumerate(errors, 1)
    ]
    whole = fed(*samples)
    before = fed(*samples[:cut])
    assert fed(*samples, watch=before) == whole
    assert fed(*samples) == whole


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=1, max_size=20))
def test_a_range_answer_and_its_single_moments_give_the_same_counts(values: list[tuple[float, float]]) -> None:
    def ranged(place: int, scale: float) -> dict[str, list[Series]]:
        return {
            track: [Series({}, tuple(Sample(at(15.0 * n), pair[index] * scale) for n, pair in enumerate(values, 1)))]
            for index, track in ((place, "canary"), (1 - place, "stable"))
        }

    found = samples_of(GUARD, ranged(0, 1.0), ranged(0, 0.1))
    watch = RatioWatch()
    for n, (canary, stable) in enumerate(values, 1):
        one = sample(15.0 * n, canary=(canary, canary * 0.1), stable=(stable, stable * 0.1))
        watch = next_watch(watch, one, GUARD, SHIFTED, TICK, LIMITS)
    assert replay_ratio(RatioWatch(), found, GUARD, SHIFTED, TICK, LIMITS) == watch
