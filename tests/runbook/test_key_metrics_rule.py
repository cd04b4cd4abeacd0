"""Key metrics over an observation: what is judged, what is shown, what is missing."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from runbook import series
from runbook.policy import OBSERVED, Threshold
from runbook.rules.dependencies import TimeoutLimits, judge_dependency_timeouts, timeouts_query
from runbook.rules.idle import QUIET, rate_query
from runbook.rules.key_metrics import (
    Asked,
    asked_metrics,
    counted,
    judge_key_metrics,
    metric_query,
)
from runbook.rules.observed import Observation
from runbook.rules.readings import Reading
from runbook.series import METRICS, Windows
from runbook.verdicts import Outcome, Verdict, decided

OBSERVATION = Observation(service="shop", env="staging", windows=Windows(), length_s=1800)
ASKED = tuple(metric.name for metric in asked_metrics(OBSERVED, ()))
GOOD: dict[str, Reading] = {
    **dict.fromkeys(ASKED, 0.0),
    series.CORE_SUCCESS: 0.999,
    series.READINESS_RATIO: 1.0,
    series.QUEUE_LAG: 2.0,
}


def absent(name: str) -> Verdict:
    return Verdict.no_data(METRICS[name].title, "metrics.absent", "there is no such series")


def judged(
    changes: dict[str, Reading] | None = None,
    without: tuple[str, ...] = (),
    lag_baseline: Reading | None = 5.0,
    rates: dict[str, Reading] | None = None,
) -> tuple[Verdict, ...]:
    readings = {name: value for name, value in {**GOOD, **(changes or {})}.items() if name not in without}
    queries = {name: metric_query(METRICS[name], OBSERVATION) for name in readings}
    asked = Asked(readings=readings, queries=queries, lag_baseline=lag_baseline, rates=rates or {})
    return judge_key_metrics(asked, OBSERVED, without, OBSERVATION)


def bad(verdicts: tuple[Verdict, ...]) -> list[tuple[Outcome, str]]:
    return [(v.outcome, v.code) for v in verdicts if v.binding and v.outcome is not Outcome.PASS]


def test_every_key_metric_of_the_runbook_is_asked() -> None:
    assert set(ASKED) == {
        name
        for name, metric in METRICS.items()
        if metric.section != "baseline" and name not in (series.AVAILABILITY, series.DEPENDENCY_TIMEOUTS)
    }


def test_good_metrics_pass_and_each_value_stands_in_the_evidence() -> None:
    verdicts = judged()
    assert decided(verdicts) is Outcome.PASS
    named = {fact.name for verdict in verdicts for fact in verdict.evidence}
    assert {METRICS[name].title for name in (series.QUEUE_DEPTH, series.REQUEST_RATE, series.MEMORY_BYTES)} <= named
    assert {threshold.name for threshold in OBSERVED} <= named
    assert all(fact.source for verdict in verdicts for fact in verdict.evidence)


def test_a_value_beyond_its_limit_fails_and_says_both() -> None:
    verdicts = judged({series.JOB_FAILURE_RATIO: 0.0612})
    assert bad(verdicts) == [(Outcome.FAIL, "key_metrics.job_failure_ratio")]
    (failed,) = (v for v in verdicts if v.outcome is Outcome.FAIL)
    assert failed.reason == "6.12 % on average over 30 min; wanted: at most 5 %"


def test_a_value_at_its_limit_passes() -> None:
    assert bad(judged({series.CPU: 0.9, series.CORE_SUCCESS: 0.98, series.RESTARTS: 3.0})) == []


def test_a_ratio_below_its_least_fails() -> None:
    assert bad(judged({series.CORE_SUCCESS: 0.97})) == [(Outcome.FAIL, "key_metrics.core_transaction_success_ratio")]


def test_a_trace_of_an_out_of_memory_kill_is_one_and_fails() -> None:
    verdicts = judged({series.OOM_KILLS: 0.4})
    assert bad(verdicts) == [(Outcome.FAIL, "key_metrics.oom_kills")]
    assert any(v.reason == "1 in 30 min; wanted: at most 0" for v in verdicts)


def test_all_that_is_missing_is_named_at_once_with_the_remedy() -> None:
    names = (series.QUEUE_DEPTH, series.CPU, series.OOM_KILLS)
    verdicts = judged({name: absent(name) for name in names})
    assert bad(verdicts) == [(Outcome.NO_DATA, "metrics.absent")]
    (missing,) = (v for v in verdicts if v.code == "metrics.absent")
    assert "forge:queue_depth:1m, forge:cpu_utilization_ratio:1m and forge:oom_kills:1m" in missing.reason
    assert "`forge rules`" in missing.remedy
    assert "services.shop.without: [queue_depth, cpu_utilization_ratio, oom_kills]" in missing.remedy


def test_jobs_of_which_none_ended_are_told_and_decide_nothing() -> None:
    ratio = series.JOB_FAILURE_RATIO
    verdicts = judged({ratio: absent(ratio)}, rates={ratio: 0.0})
    assert bad(verdicts) == []
    (idle,) = (v for v in verdicts if v.code == "metrics.idle")
    assert (idle.gate, idle.outcome, idle.binding) == ("background job failures", Outcome.NOT_RUN, False)
    assert idle.reason == "no background job ended during the observation: nothing to judge"
    (rate,) = idle.evidence
    assert (rate.name, rate.value, rate.source) == (
        "background jobs done and background jobs failed", 0.0, rate_query(ratio, OBSERVATION)
    )  # fmt: skip


def test_core_transactions_of_which_there_were_none_bind_and_say_what_to_do() -> None:
    verdicts = judged({series.CORE_SUCCESS: absent(series.CORE_SUCCESS)}, rates={series.CORE_SUCCESS: 0.0})
    assert bad(verdicts) == [(Outcome.NO_DATA, "metrics.no_core_transactions")]
    (missing,) = (v for v in verdicts if v.code == "metrics.no_core_transactions")
    assert missing.reason == "no core transaction ended during the observation: nothing to judge"
    assert "services.shop.smoke" in missing.remedy


def test_a_rate_that_is_missing_or_not_zero_tells_of_no_idleness() -> None:
    ratio = series.JOB_FAILURE_RATIO
    nan = Verdict.no_data("g", "metrics.nan", "NaN")
    for rate in (absent(series.JOB_SUCCESS_RATE), nan, 1e-9, 0.5):
        assert bad(judged({ratio: absent(ratio)}, rates={ratio: rate})) == [(Outcome.NO_DATA, "metrics.absent")]
    assert bad(judged({ratio: absent(ratio)})) == [(Outcome.NO_DATA, "metrics.absent")]


def test_a_rate_that_could_not_be_asked_is_an_error_and_not_absent() -> None:
    ratio = series.JOB_FAILURE_RATIO
    down = Verdict.error("g", "prometheus.unreachable", "no answer")
    assert bad(judged({ratio: absent(ratio)}, rates={ratio: down})) == [(Outcome.ERROR, "prometheus.unreachable")]


def test_what_is_missing_idle_and_wanted_is_told_together() -> None:
    silent = (series.CPU, series.JOB_FAILURE_RATIO, series.CORE_SUCCESS, series.DB_DEADLOCKS)
    rates: dict[str, Reading] = {series.JOB_FAILURE_RATIO: 0.0, series.CORE_SUCCESS: 0.0}
    verdicts = judged({**{name: absent(name) for name in silent}, series.OOM_KILLS: 2.0}, rates=rates)
    assert decided(verdicts) is Outcome.FAIL
    assert [v.code for v in verdicts if v.outcome is not Outcome.PASS] == [
        "key_metrics.oom_kills", "metrics.absent", "metrics.no_database", "metrics.no_core_transactions", "metrics.idle",
    ]  # fmt: skip
    (missing,) = (v for v in verdicts if v.code == "metrics.absent")
    assert "without: [cpu_utilization_ratio]" in missing.remedy


def test_what_the_service_does_not_have_is_named_and_decides_nothing() -> None:
    without = (series.QUEUE_DEPTH, series.QUEUE_LAG, series.JOB_FAILURE_RATIO)
    verdicts = judged(without=without)
    assert bad(verdicts) == []
    (named,) = (v for v in verdicts if v.code == "metrics.without")
    assert (named.outcome, named.binding) == (Outcome.NOT_RUN, False)
    assert "queue depth, queue lag and background job failures" in named.reason
    assert not any(v.gate == "background job failures" for v in verdicts)


def test_a_database_without_series_decides_nothing_and_one_with_series_is_judged() -> None:
    names = [name for name, metric in METRICS.items() if metric.section == "database"]
    verdicts = judged({name: absent(name) for name in names})
    assert bad(verdicts) == []
    assert [v.binding for v in verdicts if v.code == "metrics.no_database"] == [False]
    assert bad(judged({series.DB_CONNECTIONS: 0.8, series.DB_REPLICATION_LAG: 61.0})) == [
        (Outcome.FAIL, "key_metrics.postgres_connection_ratio"),
        (Outcome.FAIL, "key_metrics.postgres_replication_lag_seconds"),
    ]


def test_slow_queries_and_a_growing_log_are_judged_by_their_mean() -> None:
    verdicts = judged({series.DB_SLOW_QUERIES: 10.5, series.DB_WAL_GROWTH: 16.5e6})
    assert [(v.code, v.reason) for v in verdicts if v.outcome is Outcome.FAIL] == [
        ("key_metrics.postgres_slow_queries", "10.5 on average over 30 min; wanted: at most 10"),
        (
            "key_metrics.postgres_wal_growth_bytes_per_second",
            "16.5 MB/s on average over 30 min; wanted: at most 16 MB/s",
        ),
    ]
    assert bad(judged({series.DB_SLOW_QUERIES: 10.0, series.DB_WAL_GROWTH: -5e6, series.DB_LOCK_WAITS: 400.0})) == []


def test_the_longest_checkpoint_of_the_observation_is_judged() -> None:
    """Between checkpoints 0 is recorded: a mean would tell how rare they are."""
    query = metric_query(METRICS[series.DB_CHECKPOINT], OBSERVATION)
    assert query.startswith("max_over_time(forge:postgres_checkpoint_duration_seconds:1m{")
    assert query.endswith("[1800s])")
    verdicts = judged({series.DB_CHECKPOINT: 2100.0})
    assert [(v.code, v.reason) for v in verdicts if v.outcome is Outcome.FAIL] == [
        (
            "key_metrics.postgres_checkpoint_duration_seconds",
            "35 min at the longest in 30 min; wanted: at most 30 min",
        )
    ]
    assert bad(judged({series.DB_CHECKPOINT: 1800.0})) == []


def test_lag_that_stays_above_normal_fails_and_names_what_is_normal() -> None:
    verdicts = judged({series.QUEUE_LAG: 12.0})
    assert bad(verdicts) == [(Outcome.FAIL, "key_metrics.queue_lag_seconds")]
    assert any(v.reason == "the lag did not fall below 12 s for 15 min; normal is up to 5 s" for v in verdicts)


def test_lag_without_history_passes_and_says_why() -> None:
    verdicts = judged({series.QUEUE_LAG: 12.0}, lag_baseline=None)
    (lag,) = (v for v in verdicts if v.code == "key_metrics.no_baseline")
    assert lag.outcome is Outcome.PASS
    assert "no normal baseline is recorded yet" in lag.reason
    assert lag.evidence[0].value == 12.0


def test_a_baseline_that_cannot_be_read_is_not_taken_for_none() -> None:
    nan = Verdict.no_data("queue lag", "metrics.nan", "NaN")
    assert bad(judged(lag_baseline=nan)) == [(Outcome.NO_DATA, "metrics.nan")]


def test_one_error_of_all_questions_is_told_once() -> None:
    error = Verdict.error("any", "prometheus.unreachable", "no answer")
    assert bad(judged(dict.fromkeys(ASKED, error))) == [(Outcome.ERROR, "prometheus.unreachable")]


def test_a_threshold_brings_its_metric_with_it() -> None:
    slow = (Threshold("availability", series.AVAILABILITY, False, 0.999, 0.0),)
    assert series.AVAILABILITY in [metric.name for metric in asked_metrics(slow, ())]


# --- queries ----------------------------------------------------------------------------------------------------------


def test_ratios_are_averaged_counts_summed_and_lag_must_last() -> None:
    def of(name: str, length_s: float = 1800) -> str:
        observation = Observation(service="shop", env="staging", windows=Windows(), length_s=length_s)
        return metric_query(METRICS[name], observation).replace('{service="shop",env="staging",track="stable"}', "")

    assert of(series.JOB_FAILURE_RATIO) == "avg_over_time(forge:job_failure_ratio:1m[1800s])"
    assert of(series.CPU) == (
        "avg_over_time(forge:cpu_utilization_ratio:1m[1800s]) "
        "and count_over_time(forge:cpu_utilization_ratio:1m[1800s:15s]) >= 60"
    )
    assert of(series.OOM_KILLS).startswith("avg_over_time(forge:oom_kills:1m[1800s]) * 30 and ")
    assert of(series.OOM_KILLS, 20).startswith("avg_over_time(forge:oom_kills:1m[20s]) * 1 and ")
    lasting = "max_over_time(min_over_time(forge:queue_lag_seconds:1m[900s])[900s:15s]) and "
    assert of(series.QUEUE_LAG).startswith(lasting)
    assert of(series.QUEUE_LAG, 600).startswith("min_over_time(forge:queue_lag_seconds:1m[600s]) and ")
    assert of(series.DISK_LATENCY) == "avg_over_time(forge:disk_io_latency_seconds:1m[1800s])"


# --- dependencies -----------------------------------------------------------------------------------------------------

LIMITS = TimeoutLimits(over=0.2, floor=0.001)


def timeouts(measured: Reading, baseline: Reading | None, rate: Reading | None = None) -> Verdict:
    return judge_dependency_timeouts(measured, baseline, LIMITS, OBSERVATION, rate)


def test_time_outs_up_to_a_fifth_above_normal_are_no_spike() -> None:
    assert timeouts(0.012, 0.01).outcome is Outcome.PASS
    spike = timeouts(0.0121, 0.01)
    assert (spike.outcome, spike.code) == (Outcome.FAIL, "dependencies.timeouts")
    assert spike.reason == (
        "1.21 % of the requests to dependencies timed out over 30 min; normal is 1 %, the limit 1.2 %"
    )


def test_under_the_floor_nothing_is_a_spike() -> None:
    assert timeouts(0.001, 0.0).outcome is Outcome.PASS
    assert timeouts(0.0011, 0.0).outcome is Outcome.FAIL


def test_a_first_release_passes_and_its_time_outs_are_shown() -> None:
    first = timeouts(0.5, None)
    assert (first.outcome, first.code) == (Outcome.PASS, "dependencies.no_baseline")
    assert "nothing is recorded from before this release" in first.reason
    assert first.evidence[0].value == 0.5


def test_absent_time_outs_are_no_data_with_the_remedy() -> None:
    missing = timeouts(absent(series.DEPENDENCY_TIMEOUTS), 0.01)
    assert (missing.outcome, missing.code) == (Outcome.NO_DATA, "metrics.absent")
    assert "services.shop.without: [dependency_timeout_ratio]" in missing.remedy
    assert missing.evidence[0].source == timeouts_query(OBSERVATION)


def test_dependencies_that_nobody_called_decide_nothing() -> None:
    ratio = absent(series.DEPENDENCY_TIMEOUTS)
    idle = timeouts(ratio, 0.01, 0.0)
    assert (idle.outcome, idle.code, idle.binding) == (Outcome.NOT_RUN, "metrics.idle", False)
    assert idle.reason == "no request went to a dependency during the observation: nothing to judge"
    assert timeouts(ratio, 0.01, absent(series.DEPENDENCY_RATE)).code == "metrics.absent"
    assert timeouts(ratio, 0.01, 3.0).code == "metrics.absent"


# --- properties -------------------------------------------------------------------------------------------------------

VALUES = st.floats(0, 1e6)
UNREAD = st.sampled_from(
    [
        Verdict.no_data("g", "metrics.absent", "absent"),
        Verdict.no_data("g", "metrics.nan", "NaN"),
        Verdict.error("g", "prometheus.timeout", "slow"),
    ]
)
READINGS = st.dictionaries(st.sampled_from(ASKED), VALUES | UNREAD)


@settings(deadline=None)
@given(
    changes=READINGS,
    lag_baseline=st.none() | VALUES | UNREAD,
    rates=st.dictionaries(st.sampled_from(sorted(QUIET)), VALUES | UNREAD),
)
def test_nothing_unread_ever_passes_and_nothing_is_left_unsaid(
    changes: dict[str, Reading], lag_baseline: Reading | None, rates: dict[str, Reading]
) -> None:
    verdicts = judged(changes, lag_baseline=lag_baseline, rates=rates)
    idle = {name for name, rate in rates.items() if rate == 0 and not QUIET[name].needed}
    unread = [
        name
        for name, reading in changes.items()
        if isinstance(reading, Verdict)
        and not (reading.code == "metrics.absent" and (METRICS[name].section == "database" or name in idle))
    ]
    if unread:
        assert decided(verdicts) is not Outcome.PASS
    told = " ".join(fact.name for v in verdicts for fact in v.evidence)
    names = {threshold.metric: threshold.name for threshold in OBSERVED} | {series.QUEUE_LAG: ""}
    for name, reading in changes.items():
        if not isinstance(reading, Verdict):
            assert names.get(name, METRICS[name].title) in told


@settings(deadline=None)
@given(better=VALUES, worse=VALUES, baseline=VALUES)
def test_more_time_outs_are_never_judged_better(better: float, worse: float, baseline: float) -> None:
    better, worse = sorted((better, worse))
    if timeouts(worse, baseline).outcome is Outcome.PASS:
        assert timeouts(better, baseline).outcome is Outcome.PASS


@settings(deadline=None)
@given(baseline=VALUES, over=st.floats(0, 5), floor=st.floats(0, 1))
def test_what_was_normal_is_never_a_spike(baseline: float, over: float, floor: float) -> None:
    limits = TimeoutLimits(over=over, floor=floor)
    assert judge_dependency_timeouts(baseline, baseline, limits, OBSERVATION).outcome is Outcome.PASS


@settings(deadline=None)
@given(value=VALUES)
def test_counting_never_loses_an_event(value: float) -> None:
    assert counted(value) >= (1 if value > 0 else 0)
    assert abs(counted(value) - value) <= 1


@settings(deadline=None)
@given(
    length_s=st.floats(0, 1e6),
    lag_for_s=st.floats(0, 1e5),
    window=st.sampled_from(["15s", "1m", "5m"]),
    name=st.sampled_from(ASKED),
)
def test_queries_are_whole_for_any_length(length_s: float, lag_for_s: float, window: str, name: str) -> None:
    observation = Observation(
        service="shop", env="staging", windows=Windows(window), length_s=length_s, queue_lag_for_s=lag_for_s
    )
    query = metric_query(METRICS[name], observation)
    assert query.count("(") == query.count(")")
    assert "[0s" not in query
    assert ":0s]" not in query
    assert set(query) <= set(string.ascii_letters + string.digits + '_:{}()[]=",.*> ')
