"""What is said of one weight of production: sample, errors, latency, burn, saturation and pods."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import series
from runbook.policy import OBSERVED
from runbook.ports import PodTrouble, Rollout
from runbook.rules.burn import Budget, Burning, budget_left, judge_burn
from runbook.rules.chance import chance_of_at_least, lower_rank
from runbook.rules.endpoints import judge_endpoints
from runbook.rules.key_metrics import Asked
from runbook.rules.latency import Latencies, LatencyLimits, judge_phase_latency, low_query, over_any
from runbook.rules.observed import Observation
from runbook.rules.phases import Phase, accepted, judge_phase_errors, judge_sample, phase_of
from runbook.rules.saturation import judge_saturation, saturation_limits, saturation_queries
from runbook.series import Windows
from runbook.verdicts import Outcome, Verdict
from tests.fakes.clock import NOON
from tests.runbook.fakes import GOOD_ROLLOUT, deployment

BEGUN = NOON - timedelta(minutes=5)
PHASE = Phase(service="shop", env="prod", weight=5, window="1m", begun=BEGUN, at=NOON)
LIMITS = LatencyLimits(max_p95_s=0.4, max_over_stable=0.2, minimum=300)
BUDGET = Budget(long="1h", short="5m", rate=14.4, availability=0.999)
ABSENT = Verdict.no_data("gate", "metrics.absent", "there is no such series")
DOWN = Verdict.error("gate", "prometheus.unreachable", "no answer")


# --- chance -----------------------------------------------------------------------------------------------------------


def exactly(events: int, trials: int, probability: float) -> float:
    terms = (
        math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k) for k in range(events, trials + 1)
    )
    return math.fsum(terms)


@given(st.integers(1, 300), st.data(), st.floats(0.001, 0.5))
def test_the_chance_of_so_many_events_is_the_binomials(trials: int, data: st.DataObject, probability: float) -> None:
    events = data.draw(st.integers(0, trials))
    expected = exactly(events, trials, probability)
    assert chance_of_at_least(events, trials, probability) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("events", "trials", "probability", "expected"),
    [
        (0, 100, 0.01, 1.0),
        (5, 0, 0.01, 1.0),
        (1, 10, 0.0, 0.0),
        (3, 10, 1.0, 1.0),
        (11, 10, 0.5, 0.0),
        (0.9, 10, 0.1, 1.0),
    ],
)
def test_what_is_certain_is_certain(events: float, trials: float, probability: float, expected: float) -> None:
    assert chance_of_at_least(events, trials, probability) == expected


def test_millions_of_requests_are_judged_at_once() -> None:
    assert chance_of_at_least(110_000, 10_000_000, 0.01) < 1e-9
    assert chance_of_at_least(99_000, 10_000_000, 0.01) == pytest.approx(1.0, abs=1e-3)


@given(st.floats(1, 1e7), st.floats(0.0001, 0.05))
def test_the_lower_end_of_a_quantile_comes_nearer_with_more_requests(trials: float, alpha: float) -> None:
    assert 0 <= lower_rank(0.95, trials, alpha) <= lower_rank(0.95, 2 * trials, alpha) < 0.95


def test_three_hundred_requests_show_a_p95_from_the_91st_percent_on() -> None:
    assert lower_rank(0.95, 300, 0.001) == pytest.approx(0.911, abs=0.001)
    assert lower_rank(0.95, 0, 0.001) == 0.0


# --- the phase --------------------------------------------------------------------------------------------------------


def test_a_weights_time_begins_when_it_was_accepted() -> None:
    weights = accepted({"shifted": {"25": "2026-01-01T12:10:00+00:00", "5": "2026-01-01T12:00:00+00:00"}})
    assert [weight for _, weight in weights] == [5, 25]
    found = phase_of("shop", "prod", 25, "1m", weights[1][0] + timedelta(minutes=7), weights)
    assert isinstance(found, Phase)
    assert (found.begun, found.length_s, found.earlier) == (weights[1][0], 420.0, None)
    missing = phase_of("shop", "prod", 100, "1m", NOON, weights)
    assert isinstance(missing, Verdict)
    assert (missing.outcome, missing.code) == (Outcome.NO_DATA, "phase.not_begun")


@pytest.mark.parametrize("facts", [{}, {"shifted": None}, {"shifted": []}])
def test_without_a_word_of_the_router_no_weight_has_begun(facts: dict[str, object]) -> None:
    assert accepted(facts) == ()


def test_stable_is_asked_at_the_same_time_and_at_100_at_the_weights_before() -> None:
    same = PHASE.beside
    assert same is not None
    assert same[1:] == (NOON, 300.0)
    first = NOON - timedelta(minutes=20)
    full = phase_of("shop", "prod", 100, "1m", NOON, ((first, 5), (BEGUN, 100)))
    assert isinstance(full, Phase)
    assert full.beside is not None
    assert full.beside[1:] == (BEGUN, 900.0)
    alone = phase_of("shop", "prod", 100, "1m", NOON, ((BEGUN, 100),))
    assert isinstance(alone, Phase)
    assert alone.beside is None


def test_too_few_requests_say_how_many_are_missing_and_when_they_may_be_there() -> None:
    verdict = judge_sample(150.0, 300, PHASE)
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "phase.too_few_requests")
    assert verdict.reason == "150 requests reached the canary in 5 min; 150 of 300 are missing, at this rate in 5 min"
    assert "none come" in judge_sample(0.0, 300, PHASE).reason
    assert judge_sample(300.0, 300, PHASE).outcome is Outcome.PASS
    assert judge_sample(ABSENT, 300, PHASE) is ABSENT


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requests", "errors", "outcome", "code"),
    [
        (300.0, 2.0, Outcome.PASS, "ok"),
        (300.0, 6.0, Outcome.NO_DATA, "phase.errors_unclear"),
        (300.0, 15.0, Outcome.FAIL, "phase.error_ratio"),
        (5000.0, 50.0, Outcome.NO_DATA, "phase.errors_unclear"),
        (5000.0, 100.0, Outcome.FAIL, "phase.error_ratio"),
        (299.0, 299.0, Outcome.NO_DATA, "phase.too_few_requests"),
    ],
)
def test_an_error_rate_over_the_limit_fails_when_it_is_no_chance(
    requests: float, errors: float, outcome: Outcome, code: str
) -> None:
    verdict = judge_phase_errors(requests, errors, 0.01, 300, PHASE)
    assert (verdict.outcome, verdict.code) == (outcome, code)
    assert verdict.evidence[0].at == NOON or code == "phase.too_few_requests"


@given(st.floats(300, 1e6), st.floats(0, 1))
def test_more_errors_never_make_a_better_verdict(requests: float, share: float) -> None:
    order = (Outcome.PASS, Outcome.NO_DATA, Outcome.FAIL)
    few, many = (judge_phase_errors(requests, requests * s, 0.01, 300, PHASE).outcome for s in (share / 2, share))
    assert order.index(few) <= order.index(many)


def test_what_could_not_be_read_of_errors_stays_what_it_is() -> None:
    assert judge_phase_errors(DOWN, 0.0, 0.01, 300, PHASE) is DOWN
    assert judge_phase_errors(500.0, ABSENT, 0.01, 300, PHASE) is ABSENT


# --- latency ----------------------------------------------------------------------------------------------------------


def told(found: Latencies) -> list[tuple[Outcome, str]]:
    return [(v.outcome, v.code) for v in judge_phase_latency(found, LIMITS, PHASE)]


GOOD = Latencies(requests=1000.0, p95_s=0.2, stable_requests=20000.0, stable_p95_s=0.19)
OK = (Outcome.PASS, "ok")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [OK, OK]),
        ({"p95_s": 0.5, "stable_p95_s": 0.5, "low_s": 0.45}, [(Outcome.FAIL, "phase.latency_p95"), OK]),
        ({"p95_s": 0.5, "stable_p95_s": 0.5, "low_s": 0.35}, [(Outcome.NO_DATA, "phase.latency_unclear"), OK]),
        ({"p95_s": 0.3, "low_s": 0.25}, [OK, (Outcome.FAIL, "phase.latency_over_stable")]),
        ({"p95_s": 0.3, "low_s": 0.2}, [OK, (Outcome.NO_DATA, "phase.latency_unclear")]),
        ({"p95_s": 0.228}, [OK, OK]),
        ({"requests": 100.0}, [(Outcome.NO_DATA, "phase.too_few_requests")]),
        ({"stable_requests": 100.0}, [OK, (Outcome.NO_DATA, "phase.too_few_stable_requests")]),
        ({"stable_requests": None, "stable_p95_s": None}, [OK, (Outcome.NOT_RUN, "phase.nothing_beside")]),
        ({"requests": ABSENT}, [(Outcome.NO_DATA, "metrics.absent")]),
        ({"p95_s": ABSENT}, [(Outcome.NO_DATA, "metrics.absent")]),
        ({"stable_requests": DOWN}, [OK, (Outcome.ERROR, "prometheus.unreachable")]),
        ({"stable_p95_s": ABSENT}, [OK, (Outcome.NO_DATA, "metrics.absent")]),
        ({"p95_s": 0.5, "stable_p95_s": 0.5, "low_s": DOWN}, [(Outcome.ERROR, "prometheus.unreachable"), OK]),
    ],
)
def test_latency_is_held_against_the_target_and_against_stable(
    changes: dict[str, object], expected: list[tuple[Outcome, str]]
) -> None:
    assert told(replace(GOOD, **changes)) == expected  # type: ignore[arg-type]


def test_the_lower_end_is_asked_only_where_something_may_be_missed() -> None:
    assert not over_any(GOOD, LIMITS)
    assert over_any(replace(GOOD, p95_s=0.3), LIMITS)
    assert over_any(replace(GOOD, p95_s=0.4, stable_p95_s=0.4), LIMITS)
    assert not over_any(replace(GOOD, p95_s=0.9, requests=10.0), LIMITS)
    assert not over_any(replace(GOOD, p95_s=ABSENT), LIMITS)
    query = low_query(PHASE.queries, 300.0)
    assert query.startswith("histogram_quantile(0.911")
    assert query.partition(",")[2] == PHASE.queries.p95.partition(",")[2]


# --- burn -------------------------------------------------------------------------------------------------------------


def burning(long: object, short: object) -> Burning:
    return Burning("the canary", long, short, ("long", "short"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("long", "short", "outcome", "code"),
    [
        (0.0, 0.0, Outcome.PASS, "ok"),
        (0.02, 0.02, Outcome.FAIL, "burn.too_fast"),
        (0.02, 0.001, Outcome.PASS, "ok"),
        (0.001, 0.02, Outcome.PASS, "ok"),
        (0.0143, 0.5, Outcome.PASS, "ok"),
        (ABSENT, 0.02, Outcome.NO_DATA, "metrics.absent"),
        (0.0, ABSENT, Outcome.NO_DATA, "metrics.absent"),
        (0.5, DOWN, Outcome.ERROR, "prometheus.unreachable"),
    ],
)
def test_both_windows_together_burn_the_budget(long: object, short: object, outcome: Outcome, code: str) -> None:
    verdict = judge_burn(burning(long, short), 0.9995, BUDGET)
    assert (verdict.outcome, verdict.code) == (outcome, code)


def test_the_verdict_says_how_fast_and_what_is_left() -> None:
    verdict = judge_burn(burning(0.02, 0.03), 0.9995, BUDGET)
    assert "20 times over 1h and 30 times over 5m" in verdict.reason
    assert "50 % of the month's budget is left" in verdict.reason
    assert {e.name: (e.value, e.limit) for e in verdict.evidence}["error ratio over 5m"] == (0.03, 0.0144)
    assert "nothing is left" in judge_burn(burning(0.0, 0.0), 0.99, BUDGET).reason
    silent = judge_burn(burning(0.0, 0.0), ABSENT, BUDGET)
    assert (silent.outcome, silent.evidence[-1].value) == (Outcome.PASS, None)


def test_without_a_budget_any_failure_is_too_fast() -> None:
    none = replace(BUDGET, availability=1.0)
    assert judge_burn(burning(0.0, 0.0), 1.0, none).outcome is Outcome.PASS
    assert judge_burn(burning(0.0001, 0.0001), 0.9999, none).outcome is Outcome.FAIL
    assert budget_left(1.0, none) == 1.0


# --- saturation -------------------------------------------------------------------------------------------------------

SEEN = Observation(service="shop", env="prod", windows=Windows(), length_s=300, track="canary")
CALM = {
    series.CPU: 0.3, series.MEMORY: 0.4, series.OOM_KILLS: 0.0, series.RESTARTS: 0.0, series.DB_CONNECTIONS: 0.2,
}  # fmt: skip


def saturated(**changes: object) -> tuple[Verdict, ...]:
    limits = saturation_limits(OBSERVED, ())
    asked = Asked(readings={**CALM, **changes}, queries=saturation_queries(limits, SEEN))  # type: ignore[dict-item]
    return judge_saturation(asked, limits, SEEN)


def test_saturation_is_the_canarys_but_for_the_database() -> None:
    queries = saturation_queries(saturation_limits(OBSERVED, ()), SEEN)
    assert set(queries) == set(CALM)
    tracks = {name: 'track="canary"' in query for name, query in queries.items()}
    assert tracks == {name: name != series.DB_CONNECTIONS for name in CALM}
    assert {v.outcome for v in saturated()} == {Outcome.PASS}


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (series.CPU, 0.95),
        (series.MEMORY, 0.95),
        (series.OOM_KILLS, 1.0),
        (series.RESTARTS, 4.0),
        (series.DB_CONNECTIONS, 0.8),
    ],
)
def test_each_limit_is_kept(metric: str, value: float) -> None:
    assert [v.code for v in saturated(**{metric: value}) if v.outcome is not Outcome.PASS] == [f"key_metrics.{metric}"]


def test_what_is_missing_holds_but_for_a_database_that_nobody_measures() -> None:
    missing = saturated(**{series.CPU: ABSENT, series.DB_CONNECTIONS: ABSENT})
    assert [(v.gate, v.code, v.binding) for v in missing if v.outcome is not Outcome.PASS] == [
        ("saturation", "metrics.absent", True),
        ("saturation", "metrics.no_database", False),
    ]
    down = saturated(**dict.fromkeys(CALM, DOWN))
    assert [(v.gate, v.code) for v in down] == [("saturation", "prometheus.unreachable")]


def test_what_a_service_does_not_have_is_not_asked() -> None:
    assert series.MEMORY not in {t.metric for t in saturation_limits(OBSERVED, (series.MEMORY,))}


# --- pods -------------------------------------------------------------------------------------------------------------

CANARY = deployment("web-canary")


def pods(rollout: Rollout) -> Verdict:
    return judge_endpoints("web-canary", CANARY, rollout, 60.0)


def trouble(kind: str, restarts: int = 0, since_s: float = 120.0) -> Rollout:
    found = PodTrouble("web-canary-1", "app", kind, "Error", "exit code 1", restarts, since_s, "boom")
    return replace(GOOD_ROLLOUT, available=1, troubles=(found,))


def test_every_pod_is_ready_and_alive_and_the_probes_are_named() -> None:
    verdict = pods(GOOD_ROLLOUT)
    assert verdict.outcome is Outcome.PASS
    assert verdict.reason == (
        "2 of 2 pods of web-canary are Available: alive by GET /health/live and ready by GET /health/ready"
    )
    assert {e.name for e in verdict.evidence} == {"Available", "livenessProbe", "readinessProbe"}


@pytest.mark.parametrize("kind", ["crash_loop", "liveness", "not_ready", "image_pull", "config"])
def test_a_pod_in_trouble_fails_in_kubernetes_own_words(kind: str) -> None:
    verdict = pods(trouble(kind))
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, f"endpoints.{kind}")
    assert "exit code 1" in verdict.reason
    assert any(e.value == "boom" for e in verdict.evidence)


@pytest.mark.parametrize(
    "rollout",
    [trouble("crash_loop", since_s=1.0), trouble("unschedulable"), replace(GOOD_ROLLOUT, available=1), replace(GOOD_ROLLOUT, observed=False)],
)  # fmt: skip
def test_a_blip_and_a_pod_that_is_moved_are_waited_for(rollout: Rollout) -> None:
    verdict = pods(rollout)
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "endpoints.not_available")


def test_no_pods_and_no_deployment_fail() -> None:
    none = replace(GOOD_ROLLOUT, desired=0, updated=0, available=0, total=0)
    assert pods(none).code == "endpoints.no_pods"
    assert judge_endpoints("web-canary", None, None, 60.0).code == "endpoints.missing"
