"""Scenario 22, and the part of 14 that concerns guards."""

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.errors import Temporary
from runbook.plan import Guard, from_json, to_json
from runbook.ports import Sample, Series
from runbook.rules.guards import GAP_INTERVALS, GuardState, judge_guard, next_guard, replay
from runbook.rules.readings import Reading, read_error, read_single
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON

ERRORS = Guard("error rate", "forge:error_ratio:1m", True, 0.03, 300.0)
READY = Guard("readiness success", "forge:readiness_ratio:1m", False, 0.95, 300.0)
MISSING = read_single("error rate", (), "forge:error_ratio:1m")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def after(readings: list[tuple[float, Reading]], guard: Guard = ERRORS, interval_s: float = 10.0) -> GuardState:
    state = GuardState()
    for moment, reading in readings:
        state = next_guard(state, reading, at(moment), guard, interval_s)
    return state


def outcome(
    readings: list[tuple[float, Reading]], guard: Guard = ERRORS, interval_s: float = 10.0
) -> tuple[Outcome, str]:
    verdict = judge_guard(after(readings, guard, interval_s), guard)
    return verdict.outcome, verdict.code


def bad(first: int, last: int, step: int = 10) -> list[tuple[float, Reading]]:
    return [(float(t), 0.05) for t in range(first, last + 1, step)]


def test_a_critical_alert_at_4_min_50_s_does_nothing() -> None:
    assert outcome(bad(0, 290)) == (Outcome.PASS, "guard.pending")


def test_a_critical_alert_at_5_min_triggers() -> None:
    assert outcome(bad(0, 300)) == (Outcome.FAIL, "guard.breached")


def test_a_value_at_the_limit_is_no_breach() -> None:
    assert outcome([(t, 0.03) for t in range(0, 600, 10)]) == (Outcome.PASS, "ok")


def test_a_guard_below_its_limit_breaches_too() -> None:
    assert outcome([(t, 0.9) for t in range(0, 310, 10)], READY) == (Outcome.FAIL, "guard.breached")


def test_one_good_sample_clears_the_window() -> None:
    assert outcome([*bad(0, 290), (300, 0.01), *bad(310, 600)]) == (Outcome.PASS, "guard.pending")


def test_one_missed_scrape_changes_nothing() -> None:
    assert outcome([*bad(0, 140), (150, MISSING), *bad(160, 300)]) == (Outcome.FAIL, "guard.breached")
    assert outcome([*bad(0, 140), *bad(160, 300)]) == (Outcome.FAIL, "guard.breached")


def test_a_longer_absence_starts_the_window_anew() -> None:
    holes: list[tuple[float, Reading]] = [(150, MISSING), (160, MISSING)]
    assert outcome([*bad(0, 140), *holes, *bad(170, 460)]) == (Outcome.PASS, "guard.pending")
    assert outcome([*bad(0, 140), *holes, *bad(170, 470)]) == (Outcome.FAIL, "guard.breached")


def test_absent_series_are_no_data_once_more_than_a_scrape_is_missing() -> None:
    assert outcome([(0, 0.01), (10, MISSING), (20, MISSING)]) == (Outcome.PASS, "ok")
    assert outcome([(0, 0.01), (10, MISSING), (20, MISSING), (30, MISSING)]) == (Outcome.NO_DATA, "metrics.absent")


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (MISSING, (Outcome.NO_DATA, "metrics.absent")),
        (read_single("g", (Series({}, (Sample(NOON, float("nan")),)),), "q"), (Outcome.NO_DATA, "metrics.nan")),
        (read_single("g", (Series({}, (Sample(NOON, 1),)),) * 2, "q"), (Outcome.NO_DATA, "metrics.ambiguous")),
        (
            read_error("g", Temporary("prometheus", "unreachable", "no answer")),
            (Outcome.ERROR, "prometheus.unreachable"),
        ),
    ],
)
def test_each_kind_of_missing_reading_keeps_its_name_and_is_neither_pass_nor_fail(
    reading: Reading, expected: tuple[Outcome, str]
) -> None:
    assert outcome([(t, reading) for t in range(0, 400, 10)]) == expected


def test_nothing_read_yet_is_no_data() -> None:
    assert judge_guard(GuardState(), ERRORS).outcome is Outcome.NO_DATA


def test_a_reading_no_newer_than_the_last_changes_nothing() -> None:
    state = after(bad(0, 100))
    assert next_guard(state, 0.0, at(100), ERRORS, 10.0) == state
    assert next_guard(state, 0.0, at(50), ERRORS, 10.0) == state


def test_a_breach_stays_one_when_it_has_passed_since() -> None:
    """A breach while the bot was down triggers just as if it had been seen at its moment."""
    assert outcome([*bad(0, 300), (310, 0.0)]) == (Outcome.FAIL, "guard.breached")


def test_the_reason_carries_limit_time_and_worst_value() -> None:
    verdict = judge_guard(after([*bad(0, 290), (300, 0.082)]), ERRORS)
    assert verdict.reason == "error rate was above 3 % for 5 min, at worst 8.2 %"
    assert verdict.evidence[0].at == at(300)


def test_a_range_query_fills_in_what_was_missed_while_the_bot_was_down() -> None:
    state = after(bad(0, 100))
    samples = [Sample(at(t), 0.05) for t in range(50, 301, 10)]
    assert judge_guard(replay(ERRORS, samples, 10.0, state), ERRORS).outcome is Outcome.FAIL


def test_a_state_survives_its_json() -> None:
    state = after([*bad(0, 310), (320, MISSING)])
    assert from_json(GuardState, to_json(state)) == state


def naive(samples: list[tuple[int, float | None]], guard: Guard, interval_s: float) -> bool:
    """The definition itself: some stretch of samples, all beyond the limit, without too long a gap, spans for_s."""
    valued = [(t, v) for t, v in samples if v is not None]
    for i, (start, _) in enumerate(valued):
        for j in range(i, len(valued)):
            stretch = valued[i : j + 1]
            beyond = all((v > guard.limit) if guard.above else (v < guard.limit) for _, v in stretch)
            gaps = all(b[0] - a[0] <= GAP_INTERVALS * interval_s for a, b in itertools.pairwise(stretch))
            if beyond and gaps and valued[j][0] - start >= guard.for_s:
                return True
    return False


steps = st.lists(st.tuples(st.integers(1, 40), st.one_of(st.none(), st.sampled_from([0.0, 0.03, 0.05]))), max_size=25)


@given(steps=steps, for_s=st.integers(0, 120))
def test_the_machine_equals_the_definition_on_any_samples(steps: list[tuple[int, float | None]], for_s: int) -> None:
    guard = Guard("g", "m", True, 0.03, float(for_s))
    samples, moment = [], 0
    for gap, value in steps:
        moment += gap
        samples.append((moment, value))
    state = after([(t, MISSING if v is None else v) for t, v in samples], guard)
    assert (judge_guard(state, guard).outcome is Outcome.FAIL) == naive(samples, guard, 10.0)


@given(steps=steps, cut=st.integers(0, 25))
def test_filling_in_equals_having_watched(steps: list[tuple[int, float | None]], cut: int) -> None:
    guard = Guard("g", "m", True, 0.03, 60.0)
    moment, samples = 0, []
    for gap, value in steps:
        moment += gap
        if value is not None:
            samples.append(Sample(at(moment), value))
    watched = replay(guard, samples, 10.0)
    assert replay(guard, samples, 10.0, replay(guard, samples[:cut], 10.0)) == watched
