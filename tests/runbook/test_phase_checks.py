"""The checks of a weight and of completion as a gate asks them: what is missing, what is recorded, what is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from runbook.errors import ForgeError, Permanent, Temporary
from runbook.plan import Plan, Scene, canonical, parse
from runbook.policy import CRITICAL, OBSERVED, WARNING
from runbook.ports import Sample, Series
from runbook.series import Windows
from runbook.steps import (
    EndpointsReady,
    ErrorBudgetBurn,
    Gate,
    NoSustainedAlert,
    PhaseErrors,
    PhaseLatency,
    PhaseSample,
    PhasesPassed,
    Saturation,
)
from runbook.steps.dividing import Divided
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict, decided
from tests.fakes.clock import NOON
from tests.runbook.fakes import GOOD_ROLLOUT, World, deployment

SHIFTED = {
    "5": (NOON - timedelta(minutes=60)).isoformat(),
    "25": (NOON - timedelta(minutes=50)).isoformat(),
    "100": (NOON - timedelta(minutes=40)).isoformat(),
}
BEFORE = NOON - timedelta(minutes=90)
FACTS = {"shifted": SHIFTED, "before_effects_at": BEFORE.isoformat()}
SAMPLE = PhaseSample("shop", 25, "1m", 300)
ERRORS = PhaseErrors("shop", 25, "1m", 0.01, 300)
LATENCY = PhaseLatency("shop", 25, "1m", 0.4, 0.2, 300)
BURN = ErrorBudgetBurn("shop", "1h", "5m", 14.4, 0.999)
SATURATION = Saturation("shop", 25, Windows(), OBSERVED)
QUIET = NoSustainedAlert("shop", "1m", WARNING, CRITICAL, 1800.0, 15.0, 900.0)
ENDPOINTS = EndpointsReady((Divided("web", "web-canary", "route"), Divided("worker", "worker-canary", "replicas")), 25)
PASSED = PhasesPassed((5, 25, 100))
MEASURED = (SAMPLE, ERRORS, LATENCY, BURN, SATURATION, QUIET)
Answer = float | ForgeError | None


def healthy(expression: str) -> Answer:
    if "sum_over_time(forge:request_rate" in expression and "/" not in expression:
        return 5000.0
    if "histogram_quantile" in expression or "latency" in expression:
        return 0.1
    return 1.0 if "readiness" in expression or "availability" in expression else 0.0


@dataclass
class Recorded:
    """Fulfils `Metrics`: each expression's one value at all times; copies: how many series say so."""

    answer: Callable[[str], Answer] = healthy
    copies: int = 1
    asked: list[tuple[str, datetime]] = field(default_factory=list)
    ranges: list[tuple[str, datetime, datetime]] = field(default_factory=list)

    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]:
        assert at is not None
        self.asked.append((expression, at))
        return self._series(expression, (at,))

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        self.ranges.append((expression, start, end))
        count = int((end - start).total_seconds() // step_s) + 1
        return self._series(expression, tuple(start + timedelta(seconds=step_s * n) for n in range(count)))

    def _series(self, expression: str, moments: tuple[datetime, ...]) -> tuple[Series, ...]:
        found = self.answer(expression)
        if isinstance(found, ForgeError):
            raise found
        if found is None:
            return ()
        samples = tuple(Sample(at, found) for at in moments)
        track = "stable" if "postgres" in expression else "canary"
        return tuple(Series({"track": track, "replica": str(n)}, samples) for n in range(self.copies))


def scene(metrics: Recorded, **facts: Any) -> Scene:
    world = World()
    ports = replace(world.ports, metrics={Environment.STAGING: metrics})
    return replace(world.scene({**FACTS, **facts}), ports=ports)


def codes(verdicts: tuple[Verdict, ...]) -> set[str]:
    return {v.code for v in verdicts if v.outcome is not Outcome.PASS}


@pytest.mark.parametrize("check", MEASURED, ids=lambda check: check.kind)
async def test_a_healthy_release_passes_each(check: Any) -> None:
    verdicts, may_pass = await check.ask(scene(Recorded()))
    assert (codes(verdicts), may_pass) == (set(), True)
    assert all(verdict.evidence for verdict in verdicts)


@pytest.mark.parametrize("check", MEASURED, ids=lambda check: check.kind)
@pytest.mark.parametrize(
    ("answer", "copies", "outcome", "may_pass"),
    [
        (lambda _: None, 1, Outcome.NO_DATA, True),
        (lambda _: math.nan, 1, Outcome.NO_DATA, True),
        (lambda _: 5000.0, 2, Outcome.NO_DATA, True),
        (lambda _: Temporary("prometheus", "server_error", "HTTP 500"), 1, Outcome.ERROR, True),
        (lambda _: Temporary("prometheus", "unreachable", "no answer"), 1, Outcome.ERROR, True),
        (lambda _: Permanent("prometheus", "garbage", "no JSON"), 1, Outcome.ERROR, False),
    ],
    ids=["empty", "NaN", "two series", "HTTP 500", "unreachable", "garbage"],
)  # fmt: skip
async def test_no_trouble_with_the_numbers_is_a_yes_or_a_no(
    check: Any, answer: Callable[[str], Answer], copies: int, outcome: Outcome, may_pass: bool
) -> None:
    verdicts, passing = await check.ask(scene(Recorded(answer, copies)))
    assert (decided(verdicts), passing) == (outcome, may_pass)


@pytest.mark.parametrize("check", [SAMPLE, ERRORS, LATENCY, SATURATION], ids=lambda check: check.kind)
async def test_a_weight_that_was_never_accepted_is_not_judged(check: Any) -> None:
    metrics = Recorded()
    for shifted in ({}, {"5": SHIFTED["5"]}):
        verdicts, _ = await check.ask(scene(metrics, shifted=shifted))
        assert codes(verdicts) == {"phase.not_begun"}
    assert metrics.asked == []


async def test_an_unreachable_prometheus_is_told_once_and_asked_no_further() -> None:
    metrics = Recorded(lambda _: Temporary("prometheus", "unreachable", "no answer"))
    verdicts, _ = await QUIET.ask(scene(metrics))
    assert len(verdicts) == 1
    assert len(metrics.asked) + len(metrics.ranges) <= 9


async def test_each_series_of_the_end_is_asked_once_from_before_the_quiet_time_on() -> None:
    metrics = Recorded()
    await QUIET.ask(scene(metrics))
    queries = [query for query, _, _ in metrics.ranges]
    assert len(queries) == len(set(queries)) == 8
    begin = {
        next(n for n in ("error_ratio", "readiness", "queue_lag", "oom", "") if n in q): at
        for q, at, _ in metrics.ranges
    }
    quiet_from = NOON - timedelta(minutes=30)
    assert begin["error_ratio"] == quiet_from - timedelta(minutes=10)
    assert begin["readiness"] == quiet_from - timedelta(minutes=5)
    assert begin["queue_lag"] == quiet_from - timedelta(minutes=15)
    assert begin["oom"] == quiet_from
    assert [at for query, at in metrics.asked if "baseline" in query] == [BEFORE]


async def test_without_history_no_queue_lag_is_above_normal() -> None:
    metrics = Recorded(lambda expression: None if "baseline" in expression else healthy(expression))
    verdicts, _ = await QUIET.ask(scene(metrics))
    assert [v.code for v in verdicts if v.code != "ok"] == ["completion.no_baseline"]
    assert decided(verdicts) is Outcome.PASS


async def test_what_the_service_does_not_have_is_not_asked_at_the_end() -> None:
    metrics = Recorded()
    without = ("queue_lag_seconds", "latency_p95_seconds", "postgres_connection_ratio", "oom_kills")
    verdicts, _ = await replace(QUIET, without=without).ask(scene(metrics))
    assert decided(verdicts) is Outcome.PASS
    assert not any(name in query for name in without for query, _, _ in metrics.ranges)


async def test_charts_show_both_tracks_and_are_left_out_where_there_is_nothing_to_draw() -> None:
    for check, title in ((ERRORS, "shop, error rate at 25 %"), (LATENCY, "shop, API p95 latency at 25 %")):
        chart = await check.chart(scene(Recorded()))
        assert chart is not None
        assert chart.title == title
        assert [limit.name for limit in chart.panels[0].limits] == ["target"]
        assert 100 < len(chart.panels[0].lines[0].points) <= 300
        assert await check.chart(scene(Recorded(lambda _: None))) is None
        assert await check.chart(scene(Recorded(lambda _: Temporary("prometheus", "timeout", "slow")))) is None
        assert await check.chart(scene(Recorded(), shifted={})) is None


# --- pods, phases, triggers -------------------------------------------------------------------------------------------


async def test_every_canary_speaks_of_its_pods() -> None:
    world = World()
    world.cluster.deployments |= {name: deployment(name) for name in ("web-canary", "worker-canary")}
    verdicts, may_pass = await ENDPOINTS.ask(world.scene())
    assert [v.gate for v in verdicts] == [f"readiness and liveness: {n}" for n in ("web-canary", "worker-canary")]
    assert (decided(verdicts), may_pass) == (Outcome.PASS, True)
    del world.cluster.deployments["worker-canary"]
    assert codes((await ENDPOINTS.ask(world.scene()))[0]) == {"endpoints.missing"}
    world.cluster.rollouts = lambda _: Temporary("kubernetes", "unreachable", "no answer")
    verdicts, may_pass = await ENDPOINTS.ask(world.scene())
    assert [v.code for v in verdicts] == ["kubernetes.unreachable", "endpoints.missing"]
    assert may_pass


async def test_pods_that_are_being_moved_are_waited_for_within_the_gates_patience() -> None:
    world = World()
    world.cluster.deployments["web-canary"] = deployment("web-canary")
    moved = replace(GOOD_ROLLOUT, available=1)
    world.cluster.rollouts = lambda passed_s: moved if passed_s < 40 else GOOD_ROLLOUT
    gate = Gate(title="gate", checks=(EndpointsReady(ENDPOINTS.targets[:1], 25),), patience_s=600, record="phase:25")
    result = await world.finish(gate.perform(world.scene()))
    assert (result.outcome, dict(result.facts)) == (Outcome.PASS, {"phase:25": "pass"})
    assert timedelta(seconds=40) <= world.clock.now() - NOON < timedelta(minutes=1)


async def test_a_gate_records_its_outcome_whatever_it_is_and_only_where_it_is_asked_to() -> None:
    world = World()
    gate = Gate(title="gate", checks=(PASSED,), record="phase:5")
    assert dict((await world.finish(gate.perform(world.scene()))).facts) == {"phase:5": "fail"}
    assert dict((await world.finish(replace(gate, record="").perform(world.scene()))).facts) == {}


async def test_completion_wants_every_phase_passed_and_no_trigger_met() -> None:
    passed = {"phase:5": "pass", "phase:25": "pass", "phase:100": "pass"}
    verdicts, _ = await PASSED.ask(World().scene(passed))
    assert decided(verdicts) is Outcome.PASS
    for facts in ({}, {**passed, "phase:25": "no_data"}, {"phase:5": "pass", "phase:25": "pass"}):
        assert codes((await PASSED.ask(World().scene(facts)))[0]) == {"completion.phase"}
    met = [{"name": "canary errors", "at": NOON.isoformat(), "reason": "3 times stable's"}]
    verdicts, _ = await PASSED.ask(World().scene({**passed, "triggers": met}))
    assert codes(verdicts) == {"completion.trigger"}
    assert "canary errors" in verdicts[1].reason


def test_the_checks_keep_their_fields_in_a_stored_plan_and_old_gates_their_text() -> None:
    gate = Gate(title="gate", checks=(*MEASURED, ENDPOINTS, PASSED), record="phase:5")
    plan = Plan(procedure="prod", service="shop", environment=Environment.PROD, version="v1.4.0", nodes=(gate,))
    assert parse(canonical(plan)) == plan
    assert '"record"' not in canonical(replace(plan, nodes=(replace(gate, record=""),)))


async def test_a_gate_brings_one_picture_of_all_its_checks() -> None:
    world, asked = World(), scene(Recorded())
    gate = Gate(title="gate", checks=(ERRORS, SAMPLE, LATENCY))
    result = await world.finish(gate.perform(asked))
    [chart] = result.charts
    assert len(chart.panels) == 2, "one picture of both: drawing takes its time"
    assert "error rate" in chart.alt
    assert "API p95 latency" in chart.alt


@pytest.mark.parametrize(("requests", "code"), [(10.0, "burn.too_few_requests"), (300.0, "burn.too_fast")])
async def test_a_handful_of_the_canarys_requests_burns_no_budget(requests: float, code: str) -> None:
    """One of ten that failed is a hundred times too fast, and proves nothing."""

    def answer(expression: str) -> Answer:
        if "forge:error_ratio" in expression:
            return 0.1
        return requests if expression.startswith("sum_over_time") else healthy(expression)

    verdicts, _ = await replace(BURN, min_requests=300).ask(scene(Recorded(answer)))
    assert (verdicts[0].code, verdicts[1].code) == (code, "ok")
