"""The checks of key metrics and dependency time-outs ask every question, bounded, and at the right moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from runbook import series
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.plan import Scene, from_json, to_json
from runbook.policy import OBSERVED
from runbook.ports import Sample, Series
from runbook.rules.key_metrics import asked_metrics
from runbook.series import Windows
from runbook.steps.key_metrics import AT_ONCE, DependencyTimeouts, KeyMetrics
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict, decided
from tests.fakes.clock import NOON
from tests.runbook.fakes import World

KEY = KeyMetrics("shop", Windows(), OBSERVED)
DEPENDENCIES = DependencyTimeouts("shop", Windows(), 0.2, 0.001)
BEGUN, BEFORE = NOON - timedelta(minutes=30), NOON - timedelta(hours=1)
FACTS = {"observed_from": BEGUN.isoformat(), "before_effects_at": BEFORE.isoformat()}


def healthy(expression: str, at: datetime) -> float | ForgeError | None:
    return 1.0 if series.CORE_SUCCESS in expression else 0.0


@dataclass
class Recorded:
    """Fulfils `Metrics` by a function of expression and moment; counts what is under way."""

    answer: Callable[[str, datetime], float | ForgeError | None] = healthy
    asked: list[tuple[str, datetime]] = field(default_factory=list)
    under_way: int = 0
    most: int = 0

    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]:
        assert at is not None
        self.asked.append((expression, at))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        found = self.answer(expression, at)
        if isinstance(found, ForgeError):
            raise found
        return () if found is None else (Series({"service": "shop"}, (Sample(at, found),)),)

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        return ()


def scene(metrics: Recorded, facts: dict[str, str] | None = None) -> Scene:
    world = World()
    ports = replace(world.ports, metrics={Environment.STAGING: metrics})
    return replace(world.scene(FACTS if facts is None else facts), ports=ports)


def codes(verdicts: tuple[Verdict, ...]) -> list[str]:
    return [v.code for v in verdicts if v.outcome is not Outcome.PASS]


async def test_each_metric_is_asked_once_and_a_few_at_a_time() -> None:
    metrics = Recorded()
    verdicts, _ = await KEY.ask(scene(metrics))
    assert decided(verdicts) is Outcome.PASS
    assert len(metrics.asked) == len(asked_metrics(OBSERVED, ())) + 1  # the queue lag's baseline
    assert metrics.most <= AT_ONCE


async def test_the_observation_is_asked_at_its_end_and_the_baseline_before_the_release() -> None:
    metrics = Recorded()
    await KEY.ask(scene(metrics))
    moments = {"baseline" in expression: at for expression, at in metrics.asked}
    assert moments == {True: BEFORE, False: NOON}
    assert all("[1800s" in e or "[900s" in e for e, _ in metrics.asked if "baseline" not in e)


async def test_without_the_moment_before_the_release_the_observation_s_beginning_counts() -> None:
    metrics = Recorded()
    await DEPENDENCIES.ask(scene(metrics, {"observed_from": BEGUN.isoformat()}))
    assert [at for expression, at in metrics.asked if "baseline" in expression] == [BEGUN]


async def test_what_the_service_does_not_have_is_not_asked() -> None:
    metrics = Recorded()
    without = (series.QUEUE_LAG, series.QUEUE_DEPTH, series.DEPENDENCY_TIMEOUTS)
    verdicts, _ = await replace(KEY, without=without).ask(scene(metrics))
    assert not any("queue" in expression for expression, _ in metrics.asked)
    assert codes(verdicts) == ["metrics.without"]
    metrics.asked.clear()
    verdicts, _ = await replace(DEPENDENCIES, without=without).ask(scene(metrics))
    assert (codes(verdicts), decided(verdicts), metrics.asked) == (["metrics.without"], Outcome.PASS, [])


async def test_nothing_recorded_names_every_series_in_one_verdict() -> None:
    verdicts, may_pass = await KEY.ask(scene(Recorded(lambda expression, at: None)))
    assert codes(verdicts) == ["metrics.absent", "metrics.no_database"]
    assert may_pass
    assert len(verdicts[0].evidence) == len([m for m in asked_metrics(OBSERVED, ()) if m.section != "database"])


def quiet(expression: str, at: datetime) -> float | ForgeError | None:
    """Nothing happens: rates are 0, and what is a part of them is absent."""
    ratios = (series.CORE_SUCCESS, series.JOB_FAILURE_RATIO, series.DEPENDENCY_TIMEOUTS)
    return None if any(ratio in expression for ratio in ratios) else 0.0


async def test_a_quiet_service_is_told_apart_from_one_that_nobody_measures() -> None:
    verdicts, may_pass = await KEY.ask(scene(Recorded(quiet)))
    assert codes(verdicts) == ["metrics.no_core_transactions", "metrics.idle"]
    assert (decided(verdicts), may_pass) == (Outcome.NO_DATA, True)
    verdicts, _ = await DEPENDENCIES.ask(scene(Recorded(quiet)))
    assert (codes(verdicts), decided(verdicts)) == (["metrics.idle"], Outcome.PASS)


async def test_quiet_jobs_hold_nobody() -> None:
    verdicts, _ = await replace(KEY, without=(series.CORE_SUCCESS,)).ask(scene(Recorded(quiet)))
    assert decided(verdicts) is Outcome.PASS


async def test_a_rate_that_the_service_does_not_have_is_not_asked_for_idleness() -> None:
    metrics = Recorded(quiet)
    without = (series.JOB_SUCCESS_RATE, series.DEPENDENCY_RATE)
    verdicts, _ = await replace(KEY, without=without).ask(scene(metrics))
    more, _ = await replace(DEPENDENCIES, without=without).ask(scene(metrics))
    assert codes((*verdicts, *more)).count("metrics.absent") == 2
    assert not any(rate in expression for rate in without for expression, _ in metrics.asked)


async def test_a_prometheus_that_is_gone_is_asked_no_further_and_told_once() -> None:
    metrics = Recorded(lambda expression, at: Temporary("prometheus", "unreachable", "no answer"))
    verdicts, may_pass = await KEY.ask(scene(metrics))
    assert [(v.outcome, v.code) for v in verdicts] == [(Outcome.ERROR, "prometheus.unreachable")]
    assert may_pass
    assert len(metrics.asked) <= AT_ONCE


async def test_one_question_s_error_never_hides_another_s_answer() -> None:
    def answer(expression: str, at: datetime) -> float | ForgeError | None:
        if series.CPU in expression:
            return Temporary("prometheus", "server_error", "HTTP 500")
        if series.JOB_FAILURE_RATIO in expression:
            return 0.5
        return healthy(expression, at)

    verdicts, may_pass = await KEY.ask(scene(Recorded(answer)))
    assert sorted(codes(verdicts)) == ["key_metrics.job_failure_ratio", "prometheus.server_error"]
    assert may_pass


async def test_an_answer_that_will_stay_unreadable_is_not_waited_for() -> None:
    garbage = Permanent("prometheus", "garbage", "no JSON")
    _, may_pass = await KEY.ask(scene(Recorded(lambda expression, at: garbage)))
    assert not may_pass


async def test_a_spike_of_time_outs_is_held_against_what_was_normal_before_the_release() -> None:
    def answer(expression: str, at: datetime) -> float:
        normal = 0.01 if at == BEFORE else 0.9  # the candidate's own time-outs are in the baseline by now
        return normal if "baseline" in expression else 0.02

    verdicts, _ = await DEPENDENCIES.ask(scene(Recorded(answer)))
    assert codes(verdicts) == ["dependencies.timeouts"]


async def test_a_first_release_has_no_baseline_and_passes() -> None:
    metrics = Recorded(lambda expression, at: None if "baseline" in expression else healthy(expression, at))
    verdicts, _ = await KEY.ask(scene(metrics))
    more, _ = await DEPENDENCIES.ask(scene(metrics))
    assert decided((*verdicts, *more)) is Outcome.PASS
    assert [v.code for v in (*verdicts, *more) if v.code.endswith("no_baseline")] == [
        "key_metrics.no_baseline",
        "dependencies.no_baseline",
    ]


async def test_without_an_observation_there_is_nothing_to_judge_by() -> None:
    for check in (KEY, DEPENDENCIES):
        verdicts, _ = await check.ask(scene(Recorded(), {}))
        assert codes(verdicts) == ["metrics.no_observation"]


def test_the_checks_keep_their_fields_in_a_stored_plan() -> None:
    for check in (replace(KEY, without=("queue_depth",)), DEPENDENCIES):
        assert from_json(type(check), to_json(check)) == check
