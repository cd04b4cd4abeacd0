"""Scenario 12, 13, and the third of the Rollback Triggers: canary errors over twice the baseline."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.plan import from_json, to_json
from runbook.rules import canary_ratio, e_values
from runbook.rules.canary_ratio import (
    START,
    Counts,
    RatioLimits,
    RatioState,
    e_value,
    judge_ratio,
    next_ratio,
    started_with,
)
from runbook.verdicts import Outcome, Verdict
from tests.bench import screen
from tests.bench.releases import Story, decisions, wald_s
from tests.bench.verdicts import PAGE, TABLES
from tests.fakes.clock import NOON

LIMITS = RatioLimits()
PATIENT = replace(LIMITS, alpha=1e-250)
HOUR = Counts(400 * 3600.0, 4 * 3600.0)
"""Of a stable that fails at 1 %."""

Tick = tuple[Counts | None, Counts | None]


def after(
    ticks: list[Tick], state: RatioState = START, limits: RatioLimits = LIMITS, weight: int | None = 5
) -> RatioState:
    for canary, stable in ticks:
        state = next_ratio(state, canary, stable, limits, weight=weight)
    return state


def judged(state: RatioState, limits: RatioLimits = LIMITS) -> Verdict:
    return judge_ratio(state, limits, at=NOON, source="forge:request_errors:rate1m")


def shown(verdict: Verdict) -> dict[str, object]:
    return {evidence.name: evidence.value for evidence in verdict.evidence}


@st.composite
def counts(draw: st.DrawFn, most: float = 400.0, worst: float = 1.0) -> Counts:
    requests = draw(st.floats(0, most, allow_nan=False))
    return Counts(requests, requests * draw(st.floats(0, worst)))


def ticks(most: int = 50, worst: float = 1.0) -> st.SearchStrategy[list[Tick]]:
    return st.lists(st.tuples(st.none() | counts(worst=worst), st.none() | counts(8000.0)), max_size=most)


weights = st.sampled_from([None, 5, 25, 100])
spoilt = st.sampled_from(
    [None, Counts(math.nan, 0), Counts(100, math.nan), Counts(-1, 0), Counts(100, -3), Counts(math.inf, 0)]
)


def test_canary_errors_at_three_times_stable_over_the_minimum_sample_fail() -> None:
    side_by_side = [(Counts(300, 9), Counts(5700, 57))] * 20
    verdict = judged(after(side_by_side, started_with(HOUR)))
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "ratio.worse")
    found = shown(verdict)
    assert found["canary's error ratio"] == pytest.approx(0.03)
    assert found["baseline's error ratio"] == pytest.approx(0.01)
    assert verdict.evidence[0].limit == pytest.approx(0.02)
    assert verdict.evidence[0].source
    assert isinstance(found["e-value"], float)
    assert found["e-value"] >= 1000
    assert "3 % of" in verdict.reason
    assert "1 % of stable's" in verdict.reason


def test_canary_errors_like_stable_s_pass_with_both_ratios_and_the_limit() -> None:
    verdict = judged(after([(Counts(300, 3.2), Counts(5700, 57))] * 20))
    assert (verdict.outcome, verdict.code) == (Outcome.PASS, "ok")
    assert (
        verdict.reason
        == "1.067 % of 6000 requests to the canary failed, 1 % of stable's 114000; the limit is 2 times that, or 0.1 %"
    )


def test_no_requests_to_the_canary_are_no_data() -> None:
    for state in (START, after([(Counts(0, 0), Counts(5700, 57))] * 20), after([(None, Counts(5700, 57))] * 20)):
        verdict = judged(state)
        assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "ratio.no_requests")
        assert verdict.remedy


def test_too_few_requests_are_no_data_however_bad_they_are() -> None:
    verdict = judged(after([(Counts(40, 40), Counts(5700, 57))], started_with(HOUR)))
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "ratio.too_few_requests")
    assert judged(after([(Counts(60, 60), Counts(5700, 57))], started_with(HOUR))).outcome is Outcome.FAIL


def test_a_canary_that_never_fails_needs_a_sample_to_pass() -> None:
    assert judged(after([(Counts(200, 0), Counts(5700, 57))])).code == "ratio.too_few_requests"
    assert judged(after([(Counts(200, 0), Counts(5700, 57))] * 2)).outcome is Outcome.PASS


def test_errors_over_the_limit_that_may_be_chance_are_neither_a_pass_nor_a_fail() -> None:
    verdict = judged(after([(Counts(400, 10), Counts(7600, 76))]))
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "ratio.undecided")


def test_without_a_baseline_only_a_canary_under_the_floor_passes() -> None:
    assert judged(after([(Counts(400, 8), None)] * 30, weight=100)).code == "ratio.no_baseline"
    assert judged(after([(Counts(400, 0), None)] * 30, weight=100)).outcome is Outcome.PASS


def test_stable_that_never_fails_makes_no_single_failure_a_fault() -> None:
    quiet = started_with(Counts(1e6, 0))
    assert judged(after([(Counts(4000, 4), Counts(76_000, 0))] * 20, quiet)).outcome is Outcome.PASS
    assert judged(after([(Counts(4000, 40), Counts(76_000, 0))] * 2, quiet)).outcome is Outcome.FAIL


def test_what_crossed_stays_crossed() -> None:
    worse = after([(Counts(300, 60), Counts(5700, 57))] * 4)
    assert judged(worse).outcome is Outcome.FAIL
    healed = after([(Counts(300, 0), Counts(5700, 57))] * 200, worse)
    assert judged(healed) == judged(worse)


def test_at_100_percent_stable_s_stored_samples_are_the_baseline() -> None:
    seen = after([(Counts(300, 3), Counts(5700, 57))] * 20)
    seen = after([(Counts(1500, 15), Counts(4500, 45))] * 20, seen, weight=25)
    assert judged(after([(Counts(6000, 60), None)] * 40, seen, weight=100)).outcome is Outcome.PASS
    worse = judged(after([(Counts(6000, 300), None)] * 4, seen, weight=100))
    assert worse.outcome is Outcome.FAIL
    assert shown(worse)["baseline's requests"] == 20 * 5700 + 20 * 4500
    with_silent_stable = after([(Counts(6000, 300), Counts(0, 0))] * 4, seen, weight=100)
    assert shown(judged(with_silent_stable)) == shown(worse)


def test_the_stored_baseline_s_own_uncertainty_counts() -> None:
    canary = [(Counts(6000, 180), None)] * 2
    sure, unsure = (after(canary, started_with(Counts(n, n / 100)), weight=100) for n in (1e6, 1e3))
    assert judged(sure).outcome is Outcome.FAIL
    assert judged(unsure).outcome is not Outcome.FAIL


def test_a_fault_that_shows_only_at_25_percent_is_found_there() -> None:
    healthy = after([(Counts(60, 0.6), Counts(1140, 11.4))] * 40)
    worse = after([(Counts(300, 15), Counts(900, 9))] * 8, healthy, weight=25)
    assert judged(worse).outcome is Outcome.FAIL
    assert shown(judged(worse))["canary's error ratio"] == pytest.approx(0.05)


def test_a_fault_that_begins_late_is_found_in_spite_of_the_healthy_hour_before() -> None:
    healthy = after([(Counts(6000, 60), None)] * 240, started_with(HOUR), weight=100)
    assert judged(healthy).outcome is Outcome.PASS
    assert judged(after([(Counts(6000, 240), None)] * 40, healthy, weight=100)).outcome is Outcome.FAIL


def test_what_befalls_both_tracks_alike_is_no_fault_of_the_canary() -> None:
    for weight, canary, stable in ((5, 300, 5700), (25, 1500, 4500)):
        seen = after(
            [(Counts(canary, canary / 100), Counts(stable, stable / 100))] * 20, started_with(HOUR), weight=weight
        )
        outage = [(Counts(canary, canary * 0.3), Counts(stable, stable * 0.2))] * 60
        assert judged(after(outage, seen, weight=weight)).outcome is not Outcome.FAIL


def test_a_tick_of_the_canary_without_stable_s_counts_is_left_out_below_100_percent() -> None:
    seen = after([(Counts(300, 3), Counts(5700, 57))] * 20, started_with(HOUR))
    outage = [(Counts(300, 150), None), (Counts(300, 150), Counts(0, 0))] * 10
    assert after(outage, seen) == seen


def test_stable_s_counts_without_the_canary_s_widen_the_baseline() -> None:
    alone = after([(None, Counts(5700, 57))] * 20)
    assert alone == started_with(Counts(20 * 5700, 20 * 57))


def test_a_design_effect_asks_for_so_many_times_the_evidence() -> None:
    story = [(Counts(300, 12), Counts(5700, 57))] * 6
    assert judged(after(story)).outcome is Outcome.FAIL
    told = replace(LIMITS, design_effect=4.0)
    assert judged(after(story, limits=told), told).outcome is not Outcome.FAIL
    assert judged(after(story * 5, limits=told), told).outcome is Outcome.FAIL


@settings(max_examples=60, deadline=None)
@given(ticks(), weights)
def test_the_state_survives_json(story: list[Tick], weight: int | None) -> None:
    state = after(story, weight=weight)
    text = json.dumps(to_json(state), allow_nan=False)
    assert from_json(RatioState, json.loads(text)) == state


@settings(max_examples=100, deadline=None)
@given(ticks(30), st.integers(0, 29), st.floats(0, 1), weights)
def test_more_errors_of_the_canary_never_lower_the_e_value(
    story: list[Tick], place: int, part: float, weight: int | None
) -> None:
    worse = list(story)
    if place < len(story) and story[place][0] is not None:
        canary, stable = story[place]
        assert canary is not None
        worse[place] = (Counts(canary.requests, canary.errors + part * (canary.requests - canary.errors)), stable)
    before, then = (e_value(after(each, limits=PATIENT, weight=weight), PATIENT) for each in (story, worse))
    assert then >= before * (1 - 1e-9)


@settings(max_examples=60, deadline=None)
@given(ticks(30), st.integers(0, 30), spoilt, spoilt, weights)
def test_missing_and_spoilt_ticks_change_nothing(
    story: list[Tick], place: int, canary: Counts | None, stable: Counts | None, weight: int | None
) -> None:
    with_gap = [*story[:place], (canary, stable), *story[place:]]
    assert after(with_gap, weight=weight) == after(story, weight=weight)


@settings(max_examples=60, deadline=None)
@given(ticks(worst=LIMITS.floor), weights)
def test_a_canary_at_or_under_the_floor_never_fails(story: list[Tick], weight: int | None) -> None:
    state = after(story, started_with(Counts(1e6, 0)), weight=weight)
    assert judged(state).outcome is not Outcome.FAIL


@settings(max_examples=60, deadline=None)
@given(ticks(), weights, st.integers(1, 20_000))
def test_no_canary_fails_below_the_minimum_sample(story: list[Tick], weight: int | None, minimum: int) -> None:
    limits = replace(LIMITS, minimum_requests=minimum)
    for length in range(len(story) + 1):
        state = after(story[:length], limits=limits, weight=weight)
        if state.canary.requests < minimum:
            assert judged(state, limits).outcome is not Outcome.FAIL


def test_all_shares_of_alpha_together_are_no_more_than_alpha() -> None:
    assert sum(share for _, share in e_values.ALTERNATIVES) == pytest.approx(1)
    assert sum(share for _, share in e_values.ABOVE_FLOOR) == pytest.approx(1)
    stakes = sum(e_values.later_stake(tick) for tick in range(2_000))
    assert e_values.AT_ONCE + stakes <= 1 + 1e-9
    assert sum(canary_ratio.FLOOR_STAKES) + stakes <= 1 + 1e-9
    for seed in (None, HOUR):
        state, shares = started_with(seed), 0.0
        for phase in range(8):
            for _ in range(170):
                marks = state.marks
                state = next_ratio(state, Counts(100, 1), Counts(300, 3), LIMITS, weight=phase)
                shares += state.marks[-1].share if state.marks != marks else 0.0
        side = canary_ratio.SIDE_BY_SIDE + (0.0 if state.seeded else canary_ratio.PHASES[0])
        assert 0.8 < shares + side <= 1 + 1e-9


@pytest.mark.parametrize("rate", [0.002, 0.01, 0.1])
@pytest.mark.parametrize("times", [1.0, 1.7, 2.0])
def test_the_mean_of_each_bet_is_at_most_one_while_the_ratio_is_within_the_limit(rate: float, times: float) -> None:
    """Summed over everything that Poisson traffic can bring, not simulated."""
    requests, others = 60, 180
    stable, canary = _chances(others * rate), _chances(requests * rate * times)
    start, mean, stored = (1.0,) * len(e_values.ALTERNATIVES), 0.0, 0.0
    for failed, likely in enumerate(stable):
        for errors, chance in enumerate(canary):
            pairs = (requests, errors), (others, failed)
            mean += likely * chance * e_values.worth(e_values.bet_on_ratio(start, 0.0, *pairs, 2.0, 1.0))
            log_value = e_values.against_stored(pairs[0], (0, 0), pairs[1], 2.0, 1.0)
            stored += likely * chance * (math.exp(log_value) if log_value else 0.0)
    assert mean <= 1 + 1e-9
    assert stored <= 1 + 1e-9
    assert mean > 0.99 or times < 2


@pytest.mark.parametrize("rate", [0.0002, 0.001])
def test_the_mean_of_the_bet_on_the_floor_is_at_most_one_under_it(rate: float) -> None:
    start = (1.0,) * len(e_values.ABOVE_FLOOR)
    chances = _chances(1000 * rate)
    bets = (e_values.bet_on_floor(start, 0.0, (1000, errors), 0.001, 1.0) for errors in range(len(chances)))
    mean = sum(chance * e_values.worth(bet, e_values.ABOVE_FLOOR) for chance, bet in zip(chances, bets, strict=True))
    assert mean <= 1 + 1e-9


@pytest.mark.parametrize("weight", [5, 25])
def test_healthy_releases_are_not_rolled_back_even_at_twice_the_baseline(weight: int) -> None:
    story = Story(stable=0.01, canary=0.02, rate=20, weight=weight, seconds=900)
    assert sum(at is not None for at in decisions(story, LIMITS, 60, seed=7)) == 0


@pytest.mark.parametrize(("weight", "times"), [(5, 3), (5, 5), (25, 3), (25, 5), (25, 10)])
def test_bad_releases_are_found_about_as_soon_as_any_test_could(weight: int, times: int) -> None:
    story = Story(stable=0.01, canary=0.01 * times, rate=20, weight=weight, seconds=900)
    found = decisions(story, LIMITS, 60, seed=7)
    assert None not in found
    assert float(np.median([at or 0.0 for at in found])) <= 1.6 * wald_s(story, LIMITS) + 15


def test_rates_over_two_scrapes_hold_the_decision_up_by_about_a_tick_only() -> None:
    story = Story(stable=0.01, canary=0.05, rate=20, weight=25, seconds=900)
    plain, smooth = (decisions(replace(story, window=window), LIMITS, 60, seed=7) for window in (1, 2))
    assert float(np.median([at or 0.0 for at in smooth])) <= float(np.median([at or 0.0 for at in plain])) + 15


def test_the_simulation_leaves_out_no_release_that_the_rule_would_roll_back(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(stable=0.01, canary=0.026, rate=20, weight=25, seconds=900, surge=(300, 1.5))
    quick = decisions(story, LIMITS, 40, seed=3)
    monkeypatch.setattr(screen, "may_be_rolled_back", lambda history, *_: np.ones(len(history), bool))
    assert decisions(story, LIMITS, 40, seed=3) == quick
    assert None in quick
    assert any(quick)


def test_the_page_has_a_place_for_every_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    places = [(page.index(f"<!-- table: {name} -->"), page.index(f"<!-- end: {name} -->")) for name in TABLES]
    assert all(begin < end for begin, end in places)
    assert all(end < begin for (_, end), (begin, _) in pairwise(sorted(places)))


def _chances(mean: float) -> list[float]:
    """Poisson's, as far as they are worth adding."""
    most = round(mean + 10 * math.sqrt(mean) + 15)
    return [math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(most)]
