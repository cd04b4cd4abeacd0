"""The canary's ratio watched over spans that follow each other. Scenarios 12 and 13 on the engine, with simulated time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.guard_watches import Watch
from engine.records import Sealed
from runbook.errors import Temporary
from runbook.plan import PROMPT, Guard, Plan, RatioGuard, Result, Scene, Span
from runbook.policy import Setting
from runbook.ports import Ports, Series
from runbook.procedures.base import Request
from runbook.rules.guards import GuardState
from runbook.rules.ratio_watch import RatioWatch, judge_watch, limits_of
from runbook.steps.canary import CanaryRatio
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict
from tests.engine import harness
from tests.engine.asking import ERRORS, asked, notes, offered, press, recorded
from tests.engine.harness import Act, Bench, KeepingChat, Look, Outside, Series1, bench
from tests.fakes.clock import SimulatedClock

RATIO = RatioGuard(
    name="canary errors", requests="forge:request_rate:30s", errors="forge:error_rate:30s", ratio=2.0, alpha=0.001,
    minimum_requests=50, floor=0.001,
)  # fmt: skip
CORE = Guard("core of the canary", "forge:core_transaction_success_ratio:1m", False, 0.98, 60.0, track="canary")
PHASE_S = 600.0


def rolling_out(*weights: int, ratio: RatioGuard = RATIO, guards: tuple[Guard, ...] = (ERRORS,)) -> Any:
    """One span for each weight: the shift, and ten minutes of looking on."""

    def plan(request: Request, setting: Setting, world: str, numbers: Mapping[str, Any]) -> Plan:
        spans = tuple(
            Span(
                guards=guards, ratios=(ratio,), on_breach="return_to_previous",
                steps=(Act(title=f"shift {w}", world=world), Look(title=f"observe {w}", world=world)),
            )
            for w in weights
        )  # fmt: skip
        return Plan(
            procedure="staging", service=request.service, environment=request.environment, version=request.version,
            nodes=(Look(title="look", world=world), *spans),
        )  # fmt: skip

    return plan


class Traffic:
    """What the shop's two tracks record while the canary's share grows as the steps say. bad: the canary's error ratio."""

    def __init__(self, clock: SimulatedClock, outside: Outside, *weights: int) -> None:
        self.clock = clock
        self.shifted: list[tuple[datetime, int]] = []
        self.stable, self.canary, self.total = 0.01, 0.01, 100.0
        self.is_canary_recorded = True
        for weight in weights:
            outside.results[f"shift {weight}"] = lambda w=weight: self._shift(w)  # type: ignore[misc]
            outside.takes_s[f"observe {weight}"] = PHASE_S

    def _shift(self, weight: int) -> Result:
        self.shifted.append((self.clock.now(), weight))
        fact = [
            {
                "workload": "web",
                "driver": "route",
                "weight": w,
                "true_ratio": w / 100,
                "at": at.isoformat(),
                "places": [],
            }
            for at, w in self.shifted
        ]
        return Result((Verdict.passed(f"shift {weight}", "accepted"),), {"traffic": fact})

    def __call__(self, metric: str, at: datetime) -> list[Series]:
        share = next((w / 100 for since, w in reversed(self.shifted) if since <= at), 0.0)
        rates = {"stable": (1 - share) * self.total, "canary": share * self.total}
        found = []
        for track, rate in rates.items():
            if track == "canary" and not (self.is_canary_recorded and share):
                continue
            ratio = self.canary if track == "canary" else self.stable
            if "request_rate" in metric:
                found.append(recorded(metric, rate, at, track))
            elif "error_rate" in metric:
                found.append(recorded(metric, rate * ratio, at, track))
            elif "error_ratio" in metric and track == "stable":
                found.append(recorded(metric, ratio, at))
            elif "core" in metric and track == "canary":
                found.append(recorded(metric, 1.0, at, track))
        return found


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda plan: monkeypatch.setattr(harness, "plan_for", plan)


def watch_of(b: Bench, run: str) -> Watch:
    return b.engine.guards._watches[run]


def ratio_of(b: Bench, run: str) -> RatioWatch:
    return watch_of(b, run).ratios[RATIO.name]


async def shifted(b: Bench, traffic: Traffic, weight: int) -> None:
    await b.clock.run_until(lambda: any(w == weight for _, w in traffic.shifted))
    await b.clock.settle()


async def test_canary_errors_at_three_times_stable_over_the_minimum_sample_roll_back_with_the_evidence(
    tmp_path: Path, use: Any
) -> None:
    use(rolling_out(25))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 25)
        traffic.canary = 0.2
        b.metrics.value = traffic
        run = await b.deploy()
        ended = await b.ended(run)
        assert (ended.ending, ended.ending_code) == ("returned", "ratio.worse")
        (left,) = b.rows(Sealed, action="run.left")
        (verdict,) = left.evidence["verdicts"]
        found = {fact["name"]: fact for fact in verdict["evidence"]}
        assert found["canary's error ratio"]["value"] == pytest.approx(0.2, rel=0.05)
        assert found["baseline's error ratio"]["value"] == pytest.approx(0.01, rel=0.05)
        assert found["canary's error ratio"]["limit"] == pytest.approx(0.02, rel=0.05)
        assert found["canary's error ratio"]["samples"] >= RATIO.minimum_requests
        await b.clock.settle()
        assert any("canary 20 %" in u.alt for u in b.chat.uploads)
        decided = datetime.fromisoformat(ended.facts["decided_at"])
        assert decided - traffic.shifted[0][0] <= timedelta(seconds=60)


async def test_a_healthy_canary_goes_through_every_weight(tmp_path: Path, use: Any) -> None:
    use(rolling_out(5, 25, 100))
    async with bench(tmp_path) as b:
        b.metrics.value = Traffic(b.clock, b.outside, 5, 25, 100)
        run = await b.deploy()
        assert (await b.ended(run)).ending == "completed"


async def test_what_was_counted_at_one_weight_is_the_baseline_of_the_next(tmp_path: Path, use: Any) -> None:
    use(rolling_out(25, 100))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 25, 100)
        b.metrics.value = traffic
        run = await b.deploy()
        await shifted(b, traffic, 25)
        await b.clock.advance(300.0)
        before = ratio_of(b, run).state
        await shifted(b, traffic, 100)
        await b.clock.advance(60.0)
        after = ratio_of(b, run).state
        assert after.canary.requests > before.canary.requests
        assert after.stable.requests >= before.stable.requests
        assert after.weight == 100
        traffic.canary = 0.1
        assert (await b.ended(run)).ending_code == "ratio.worse"


async def test_stables_hour_before_the_roll_out_counts(tmp_path: Path, use: Any) -> None:
    use(rolling_out(5))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 5)
        b.metrics.value = traffic
        run = await b.deploy()
        await shifted(b, traffic, 5)
        await b.clock.advance(15.0)
        assert ratio_of(b, run).state.stable.requests >= 0.99 * 3600 * 100


@pytest.mark.parametrize("down_s", [15.0, 240.0, 1800.0])
async def test_a_restart_gives_the_same_state_as_an_evaluator_that_was_never_interrupted(
    tmp_path: Path, use: Any, down_s: float
) -> None:
    use(rolling_out(5, 25))
    states = []
    for interrupted in (False, True):
        path = tmp_path / str(interrupted)
        path.mkdir()
        clock, chat, outside, metrics = SimulatedClock(), KeepingChat(), Outside(), Series1()
        traffic = Traffic(clock, outside, 5, 25)
        outside.takes_s["observe 5"] = outside.takes_s["observe 25"] = 7200.0
        traffic.canary = 0.015
        metrics.value = traffic
        async with bench(path, clock=clock, chat=chat, outside=outside, metrics=metrics, world="roll-out") as b:
            run = await b.deploy()
            await shifted(b, traffic, 5)
            await clock.advance(300.0)
            if not interrupted:
                await clock.advance(down_s + 120.0)
                states.append((ratio_of(b, run), watch_of(b, run).states["error rate"]))
        if interrupted:
            clock.set(clock.now() + timedelta(seconds=down_s))
            async with bench(path, clock=clock, chat=chat, outside=outside, metrics=metrics, world="roll-out") as b:
                await clock.advance(120.0)
                states.append((ratio_of(b, run), watch_of(b, run).states["error rate"]))
    (whole, whole_errors), (restarted, restarted_errors) = states
    assert restarted == whole
    assert _what_matters(restarted_errors) == _what_matters(whole_errors)


def _what_matters(state: GuardState) -> tuple[Any, ...]:
    return state.since, state.value, state.read_at, state.breached_at


async def test_no_requests_to_the_canary_neither_roll_back_nor_count_as_blindness(tmp_path: Path, use: Any) -> None:
    use(rolling_out(5))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 5)
        traffic.total = 0.0
        b.metrics.value = traffic
        run = await b.deploy()
        await shifted(b, traffic, 5)
        await b.clock.advance(400.0)
        assert b.run(run).state == "running"
        assert not any("no data" in text for text in notes(b))


async def test_a_canary_whose_series_are_absent_is_told_and_nothing_is_rolled_back(tmp_path: Path, use: Any) -> None:
    use(rolling_out(5, guards=(CORE,)))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 5)
        traffic.is_canary_recorded = False
        b.metrics.value = traffic
        run = await b.deploy()
        await shifted(b, traffic, 5)
        await b.clock.advance(500.0)
        assert b.run(run).state == "running"
        (told,) = [m for m in b.chat.messages if "guards have no data" in m.message.text]
        assert "canary errors" in str(told.message.blocks)
        assert "core of the canary" in str(told.message.blocks)


async def test_a_ratio_that_asks_first_prompts_and_its_rollback_is_one_click(tmp_path: Path, use: Any) -> None:
    asking = RatioGuard(**{**RATIO.__dict__, "action": PROMPT})
    use(rolling_out(25, ratio=asking))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 25)
        traffic.canary = 0.2
        b.metrics.value = traffic
        run = await b.deploy()
        prompt = await asked(b, run)
        assert prompt.trigger == "canary_ratio"
        assert offered(b) == ["rollback", "extend", "continue"]
        await press(b, prompt, "rollback")
        assert (await b.ended(run)).ending == "returned"


async def test_more_runs_ask_no_more_questions(tmp_path: Path, use: Any) -> None:
    use(rolling_out(5))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 5)
        b.metrics.value = traffic
        await b.deploy()
        await shifted(b, traffic, 5)
        counted = []
        for more in (False, True):
            if more:
                await b.deploy(service="desk")
                await b.clock.advance(60.0)
            before = b.metrics.queries
            await b.clock.advance(60.0)
            counted.append(b.metrics.queries - before)
        assert counted[0] == counted[1] > 0


async def test_windows_go_on_from_one_phase_to_the_next(tmp_path: Path, use: Any) -> None:
    """Four minutes in one phase and one in the next are five: the alert triggers, and no window is begun anew."""
    use(rolling_out(5, 25))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 5, 25)
        b.metrics.value = traffic
        run = await b.deploy()
        await shifted(b, traffic, 5)
        await b.clock.advance(PHASE_S - 240.0)
        begin = b.clock.now()
        traffic.stable = traffic.canary = 0.2
        ended = await b.ended(run)
        assert [w for _, w in traffic.shifted] == [5, 25]
        assert ended.ending_code == "guard.breached"
        assert ended.ended_at is not None
        assert (ended.ended_at - begin).total_seconds() <= 330.0


async def test_a_run_that_is_paused_between_two_phases_stays_guarded(tmp_path: Path, use: Any) -> None:
    use(rolling_out(5, 25))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 5, 25)
        b.metrics.value = traffic
        run = await b.deploy()
        await shifted(b, traffic, 5)
        await b.act("pause", harness.ADA, run)
        await b.clock.advance(PHASE_S + 60.0)
        assert [w for _, w in traffic.shifted] == [5]
        traffic.stable = 0.2
        assert (await b.ended(run)).ending_code == "guard.breached"


@pytest.mark.parametrize(("canary", "outcome"), [(0.01, Outcome.PASS), (0.2, Outcome.FAIL)])
async def test_the_gate_and_the_guard_agree(tmp_path: Path, use: Any, canary: float, outcome: Outcome) -> None:
    asking = RatioGuard(**{**RATIO.__dict__, "action": PROMPT})
    use(rolling_out(25, ratio=asking))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 25)
        traffic.canary = canary
        b.metrics.value = traffic
        run = await b.deploy()
        await shifted(b, traffic, 25)
        await b.clock.advance(300.0)
        guards = judge_watch(ratio_of(b, run), asking, limits_of(asking), 15.0)
        check = CanaryRatio("shop", asking, 15.0)
        scene = scene_of(b, run)
        (verdict,), may_pass = await check.ask(scene)
        assert (verdict.outcome, guards.outcome, may_pass) == (outcome, outcome, True)
        chart = await check.chart(scene)
        assert chart is not None
        assert [line.name for line in chart.panels[0].lines] == ["canary", "stable"]


def scene_of(b: Bench, run: str) -> Scene:
    nothing: Any = None
    ports = Ports(
        clock=b.clock, clusters={}, metrics={Environment.STAGING: b.metrics}, code=nothing, images=nothing,
        signatures=nothing, probes=nothing, memory=nothing,
    )  # fmt: skip

    async def save(progress: Any) -> None:
        return None

    return Scene(
        ports=ports, run=run, index=0, attempt=1, environment=Environment.STAGING, facts=b.run(run).facts,
        begun_at=b.clock.now(), progress=None, save=save, paused=lambda: False, doing=lambda text: None,
    )  # fmt: skip


async def test_the_gate_says_no_data_where_no_traffic_is_on_record_or_too_little_came(tmp_path: Path, use: Any) -> None:
    use(rolling_out(5))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 5)
        traffic.total = 20.0
        b.metrics.value = traffic
        run = await b.deploy()
        check = CanaryRatio("shop", RATIO, 15.0)
        await b.clock.settle()
        facts = scene_of(b, run)
        object.__setattr__(facts, "facts", {})
        assert [v.code for v in (await check.ask(facts))[0]] == ["ratio.no_roll_out"]
        await shifted(b, traffic, 5)
        await b.clock.advance(60.0)
        assert [v.code for v in (await check.ask(scene_of(b, run)))[0]] == ["ratio.too_few_requests"]
        b.metrics.value = lambda metric, at: [] if at > traffic.shifted[0][0] else traffic(metric, at)
        await b.clock.advance(120.0)
        assert [v.code for v in (await check.ask(scene_of(b, run)))[0]] == ["metrics.absent"]


async def test_before_the_first_weight_nothing_of_the_canary_is_missed(tmp_path: Path, use: Any) -> None:
    """Its pods may take minutes to start: that is no blindness."""
    use(rolling_out(5, guards=(CORE,)))
    async with bench(tmp_path) as b:
        traffic = Traffic(b.clock, b.outside, 5)
        b.metrics.value = traffic
        b.outside.takes_s["shift 5"] = 540.0
        run = await b.deploy()
        await b.clock.advance(500.0)
        assert not any("no data" in text for text in notes(b))
        await shifted(b, traffic, 5)
        await b.clock.advance(200.0)
        assert watch_of(b, run).states[CORE.name].value == 1.0


async def test_samples_that_could_not_be_asked_for_are_filled_in_when_prometheus_answers_again(
    tmp_path: Path, use: Any
) -> None:
    use(rolling_out(5))
    states = []
    for troubled in (False, True):
        path = tmp_path / str(troubled)
        path.mkdir()
        async with bench(path) as b:
            traffic = Traffic(b.clock, b.outside, 5)
            b.metrics.value = traffic
            run = await b.deploy()
            await shifted(b, traffic, 5)
            await b.clock.advance(90.0)
            if troubled:

                def down(metric: str, at: datetime) -> list[Series]:
                    raise Temporary("prometheus", "timeout", "no answer within 5 s")

                b.metrics.value = down
            await b.clock.advance(240.0)
            if troubled:
                (told,) = [m for m in b.chat.messages if "guards have no data" in m.message.text]
                assert "canary errors" in str(told.message.blocks)
            b.metrics.value = traffic
            await b.clock.advance(60.0)
            states.append(ratio_of(b, run))
    assert states[0].state == states[1].state
