"""Scenario 14 at the level of the rules."""

import pytest

from runbook.errors import ForgeError, Permanent, Temporary
from runbook.ports import Sample, Series
from runbook.rules.readings import Reading, read_error, read_single
from runbook.rules.steady import SteadyLimits, judge_steady, steady_queries
from runbook.verdicts import Outcome, Verdict
from tests.fakes.clock import NOON

NAN, INF = float("nan"), float("inf")
QUERIES = steady_queries("shop", "staging", "1m", 1800)
LIMITS = SteadyLimits(max_error_ratio=0.01, max_latency_p95_s=0.4, min_requests=300)


def series(*values: float, **labels: str) -> Series:
    return Series(labels, tuple(Sample(NOON, value) for value in values))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((), "metrics.absent"),
        ((series(),), "metrics.absent"),
        ((series(NAN),), "metrics.nan"),
        ((series(INF),), "metrics.infinite"),
        ((series(-INF),), "metrics.infinite"),
        ((series(1, job="a"), series(1, job="b")), "metrics.ambiguous"),
    ],
)
def test_each_answer_that_is_no_number_has_its_own_name(answer: tuple[Series, ...], code: str) -> None:
    verdict = read_single("error rate", answer, "q")
    assert isinstance(verdict, Verdict)
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, code)
    assert verdict.evidence[0].source == "q"


@pytest.mark.parametrize(
    "error",
    [
        Temporary("prometheus", "unreachable", "no answer"),
        Temporary("prometheus", "server_error", "HTTP 500"),
        Permanent("prometheus", "garbage", "no JSON"),
    ],
)
def test_each_way_not_to_answer_is_an_error_by_its_own_name(error: ForgeError) -> None:
    verdict = read_error("error rate", error, "q")
    assert (verdict.outcome, verdict.code) == (Outcome.ERROR, error.code)


def test_the_newest_sample_of_the_single_series_is_read() -> None:
    assert read_single("g", (series(1, 2, 3),), "q") == 3


def judged(requests: Reading, errors: Reading, p95_s: Reading) -> list[tuple[Outcome, str]]:
    return [(v.outcome, v.code) for v in judge_steady(requests, errors, p95_s, LIMITS, QUERIES, 1800)]


def test_few_errors_and_quick_answers_pass() -> None:
    assert judged(1000, 9, 0.39) == [(Outcome.PASS, "ok")] * 2


def test_one_percent_of_errors_is_too_many() -> None:
    assert judged(1000, 10, 0.1)[0] == (Outcome.FAIL, "steady.error_ratio")


def test_a_p95_of_400_ms_is_too_slow() -> None:
    assert judged(1000, 0, 0.4)[1] == (Outcome.FAIL, "steady.latency_p95")


def test_too_few_requests_are_no_data_with_the_count_and_how_many_are_wanted() -> None:
    (verdict,) = judge_steady(299, 0, NAN, LIMITS, QUERIES, 1800)
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "metrics.too_few_requests")
    assert "299 requests in 30 min; at least 300" in verdict.reason


def test_both_gates_speak_when_one_has_no_data() -> None:
    nan = read_single("latency", (series(NAN),), "q")
    assert judged(1000, 50, nan) == [(Outcome.FAIL, "steady.error_ratio"), (Outcome.NO_DATA, "metrics.nan")]


def test_without_a_count_of_requests_nothing_is_judged() -> None:
    assert judged(read_single("g", (), "q"), 0, 0.1) == [(Outcome.NO_DATA, "metrics.absent")]


def test_reasons_carry_value_sample_and_limit() -> None:
    errors, latency = judge_steady(2000, 30, 0.123, LIMITS, QUERIES, 1800)
    assert errors.reason == "1.5 % of 2000 requests failed in 30 min; the limit is 1 %"
    assert latency.reason == "p95 was 123 ms over 30 min; the limit is 400 ms"


def test_the_queries_ask_the_recorded_series_of_this_service_over_the_whole_observation() -> None:
    assert QUERIES.requests == (
        'sum_over_time(forge:request_rate:1m{service="shop",env="staging",track="stable"}[1799s:15s]) * 15'
    )
    assert "forge:request_duration_seconds_bucket:1m" in QUERIES.p95
    assert steady_queries("shop", "staging", "15s", 20).errors.endswith("[19s:1s]) * 1")
