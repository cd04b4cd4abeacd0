"""A canary is started, gets its shares and becomes stable: against a cluster in memory, with simulated time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.describe import what_changed
from runbook.errors import Conflict, Permanent, Temporary
from runbook.plan import Plan, Step, canonical, parse
from runbook.policy import Workload
from runbook.steps import Gate, RememberSizes, TrafficDividable, divided
from runbook.steps.dividing import Divided
from runbook.values import Environment
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fake_traffic import FakeRoute
from tests.runbook.fakes import SERVICE, deployment
from tests.runbook.traffic_stories import (
    CRASH,
    NEW,
    OLD,
    WEB,
    WORKER,
    Rollout,
    back,
    remove,
    shift,
    start,
    take_over,
)


@pytest.fixture
def run() -> Rollout:
    return Rollout()


# --- what a plan holds ------------------------------------------------------------------------------------------------


def test_a_workload_is_divided_by_its_own_names_unless_it_says_others() -> None:
    assert divided(Workload("web", "app", "r/web")) == Divided("web", "web-canary", "route", "web", "web", "web-canary")
    named = Workload(
        "web", "app", "r/web", route="shop", stable_service="front", canary_service="front-next", canary="next"
    )
    assert divided(named) == Divided("web", "next", "route", "shop", "front", "front-next")
    assert divided(Workload("worker", "app", "r/worker", traffic="replicas")) == Divided(
        "worker", "worker-canary", "replicas"
    )


def test_the_steps_come_back_from_a_stored_plan() -> None:
    gate = Gate(title="Dividable", checks=(TrafficDividable(SERVICE.workloads),))
    sizes = RememberSizes(title="Sizes", workloads=SERVICE.workloads)
    nodes = (gate, sizes, start(), shift(5), back(), take_over(), remove())
    plan = Plan(procedure="prod", service="shop", environment=Environment.PROD, version="v1.4.0", nodes=nodes)
    assert parse(canonical(plan)) == plan


def test_what_changed_in_a_plan_is_told_in_words() -> None:
    def plan(*nodes: Step) -> Plan:
        return Plan(procedure="prod", service="shop", environment=Environment.PROD, version="v1.4.0", nodes=nodes)

    other = replace(start(), images=start().images[:1], weight=10, targets=(WEB,))
    assert what_changed(plan(start()), plan(other)) == (
        "Start, workloads whose traffic moves: web and worker → web",
        "Start, weight: 5 → 10",
    )


async def test_the_gate_asks_about_every_workload(run: Rollout) -> None:
    gate = Gate(
        title="Dividable",
        checks=(TrafficDividable((SERVICE.workloads[0], replace(SERVICE.workloads[1], traffic="replicas"))),),
    )
    assert (await run.perform(gate)).outcome is Outcome.PASS
    run.cluster.routes.clear()
    run.cluster.deployments["worker"] = deployment("worker", labels={})
    assert [v.code for v in (await run.perform(gate)).verdicts] == ["traffic.no_route", "traffic.no_track"]


async def test_the_sizes_are_remembered_once(run: Rollout) -> None:
    run.facts.clear()
    step = RememberSizes(title="Sizes", workloads=SERVICE.workloads)
    await run.passes(step)
    run.cluster.resize("web", 1)
    await run.passes(step)
    assert run.facts["sizes"] == {"web": 3, "worker": 3}


async def test_without_a_replica_there_is_no_strength_to_come_back_to(run: Rollout) -> None:
    run.facts.clear()
    run.cluster.resize("web", 0)
    del run.cluster.deployments["worker"]
    result = await run.perform(RememberSizes(title="Sizes", workloads=SERVICE.workloads))
    assert [v.code for v in result.verdicts] == ["workload.no_replicas", "workload.missing"]
    assert result.facts == {}


# --- the canary's start -----------------------------------------------------------------------------------------------


async def test_a_canary_is_available_before_any_traffic_moves(run: Rollout) -> None:
    await run.passes(start())
    assert run.replicas() == {"web": 3, "worker": 3, "web-canary": 1, "worker-canary": 0}
    canary = run.cluster.deployments["web-canary"]
    assert canary.image_of("app") == NEW["web"]
    assert canary.annotations == {"forge/run": "staging-12", "forge/step": "staging-12/4"}
    assert run.cluster.routes["web"].weight == 0
    assert run.elapsed == run.cluster.start_s


async def test_scenario_15_a_canary_that_crash_loops_is_aborted_within_60_s_with_its_last_reason(run: Rollout) -> None:
    run.cluster.sick[NEW["web"]] = CRASH
    result = await run.perform(start())
    assert (result.outcome, result.verdicts[0].code) == (Outcome.FAIL, "rollout.crash_loop")
    assert "no such table: orders" in result.verdicts[0].reason
    assert run.elapsed < 60
    assert "worker-canary" not in run.cluster.deployments


async def test_scenario_15_a_canary_that_never_becomes_ready_is_aborted_within_60_s(run: Rollout) -> None:
    run.cluster.sick[NEW["web"]] = replace(
        CRASH, kind="not_ready", reason="Unhealthy", message="Readiness probe failed: HTTP 503", restarts=0
    )
    result = await run.perform(start())
    assert result.verdicts[0].code == "rollout.not_ready"
    assert "HTTP 503" in result.verdicts[0].reason
    assert run.elapsed < 60


async def test_a_deployment_of_somebody_else_in_the_canarys_place_is_an_error_at_once(run: Rollout) -> None:
    run.cluster.deployments["web-canary"] = deployment("web-canary", marks={"forge/run": "prod-1"})
    with pytest.raises(Conflict, match="already"):
        await run.perform(start())
    assert run.elapsed == 0


# --- shares -----------------------------------------------------------------------------------------------------------


async def test_the_shares_rise_and_each_is_recorded_with_its_true_share(run: Rollout) -> None:
    await run.passes(start(), shift(5), shift(25), shift(100))
    assert run.moved("weight web") == [5, 25, 100]
    assert run.replicas() == {"web": 3, "worker": 0, "web-canary": 3, "worker-canary": 3}
    assert set(run.facts["shifted"]) == {"5", "25", "100"}
    shares = [(e["workload"], e["weight"], e["true_ratio"]) for e in run.facts["traffic"]]
    assert shares == [
        ("web", 5, 0.05), ("worker", 5, 0.25), ("web", 25, 0.25), ("worker", 25, 0.25), ("web", 100, 1.0), ("worker", 100, 1.0),
    ]  # fmt: skip


async def test_the_clock_of_a_phase_starts_when_the_last_weight_is_accepted(run: Rollout) -> None:
    run.cluster.routes["web"].accepts_after_s = 40
    await run.passes(start(), shift(5))
    assert run.facts["shifted"]["5"] == max(e["at"] for e in run.facts["traffic"])
    assert run.facts["shifted"]["5"] >= (NOON + timedelta(seconds=45)).isoformat()


async def test_canary_pods_are_available_before_the_weight_is_set(run: Rollout) -> None:
    await run.passes(start(WEB), shift(5, WEB), shift(100, WEB))
    scaled = next(w for w in run.cluster.moved if w.what == "scale web-canary" and w.number == 3)
    weighed = next(w for w in run.cluster.moved if w.what == "weight web" and w.number == 100)
    assert (weighed.at - scaled.at).total_seconds() >= run.cluster.start_s


async def test_an_autoscaler_that_made_stable_larger_makes_the_canary_larger_too(run: Rollout) -> None:
    await run.passes(start(WEB))
    run.cluster.resize("web", 8)
    await run.passes(shift(25, WEB), shift(100, WEB))
    assert run.replicas()["web-canary"] == 8


async def test_the_true_share_is_said_while_it_is_waited_for(run: Rollout) -> None:
    run.cluster.routes["web"].accepts_after_s = 10
    await run.passes(start(), shift(5))
    assert any("true share is 5 %" in said for said in run.world.said)
    assert any("true share is 0 %" in said for said in run.world.said)


async def test_a_canary_that_crash_loops_when_it_grows_gets_no_more_traffic(run: Rollout) -> None:
    await run.passes(start(WEB), shift(5, WEB))
    run.cluster.sick[NEW["web"]] = CRASH
    begun = run.elapsed
    result = await run.perform(shift(100, WEB))
    assert result.verdicts[0].code == "rollout.crash_loop"
    assert run.elapsed - begun < 60
    assert run.moved("weight web") == [5]


async def test_a_worker_whose_new_pods_crash_is_found_out_within_60_s(run: Rollout) -> None:
    run.cluster.sick[NEW["worker"]] = CRASH
    await run.passes(start(WORKER))
    result = await run.perform(shift(5, WORKER))
    assert result.verdicts[0].code == "rollout.crash_loop"
    assert run.elapsed < 60
    assert run.replicas()["worker"] == 3


async def test_a_router_that_does_not_accept_holds_the_phase_in_its_own_words(run: Rollout) -> None:
    await run.passes(start())
    run.cluster.routes["web"].refusal = "Gateway web: Accepted is False: NotAllowedByListeners"
    begun = run.elapsed
    result = await run.perform(shift(5))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.NO_DATA, "traffic.not_accepted")
    assert "NotAllowedByListeners" in result.verdicts[0].reason
    assert run.elapsed - begun == 120
    assert "shifted" not in result.facts
    assert run.replicas()["worker-canary"] == 0


async def test_a_weight_that_somebody_else_set_is_never_overwritten(run: Rollout) -> None:
    await run.passes(start(), shift(5))
    run.cluster.routes["web"] = FakeRoute(stable=60, canary=40)
    result = await run.perform(shift(25))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.FAIL, "traffic.foreign_weights")
    assert run.cluster.routes["web"].weight == 40


@settings(max_examples=60, deadline=None)
@given(
    standing=st.integers(0, 100),
    before=st.sampled_from([0, 5, 25]),
    wanted=st.sampled_from([5, 25, 100]),
    size=st.integers(1, 12),
    ready=st.booleans(),
)
def test_a_shift_sets_exactly_its_own_weight_or_none(
    standing: int, before: int, wanted: int, size: int, ready: bool
) -> None:
    async def story() -> None:
        run = Rollout()
        run.facts["sizes"] = {"web": 3}
        await run.passes(start(WEB), *([shift(before, WEB)] if before else []))
        run.cluster.moved.clear()
        run.cluster.resize("web", size)
        run.cluster.routes["web"] = FakeRoute(100 - standing, standing)
        if not ready:
            run.cluster.sick["web-canary"] = CRASH
        result = await run.perform(shift(wanted, WEB))
        known = standing in (before, wanted)
        assert known or result.verdicts[0].code == "traffic.foreign_weights"
        assert run.moved("weight web") in ([], [wanted])
        if not known:
            assert run.cluster.moved == []
        if result.outcome is Outcome.PASS:
            assert run.cluster.routes["web"].weight == wanted
            assert run.replicas()["web-canary"] * 100 >= wanted * max(3, size)

    asyncio.run(story())


async def test_a_canary_that_somebody_else_replaced_gets_nothing(run: Rollout) -> None:
    await run.passes(start(WEB))
    run.cluster.deployments["web-canary"] = replace(
        run.cluster.deployments["web-canary"], marks={"forge/run": "prod-9"}
    )
    assert (await run.perform(shift(5, WEB))).verdicts[0].code == "traffic.canary_exists"
    run.cluster.deployments["web-canary"] = deployment("web-canary", OLD, replicas=1, marks={"forge/run": "staging-12"})
    assert (await run.perform(shift(5, WEB))).verdicts[0].code == "rollout.overwritten"
    del run.cluster.deployments["web-canary"]
    assert (await run.perform(shift(5, WEB))).verdicts[0].code == "workload.missing"
    assert run.moved("weight web") == []


async def test_an_api_server_that_is_away_for_half_a_minute_is_waited_for(run: Rollout) -> None:
    await run.passes(start(WEB))
    run.cluster.routes["web"].accepts_after_s = 10
    run.cluster.away = (6, 36)
    await run.passes(shift(5, WEB))
    assert run.elapsed == 36


async def test_an_api_server_that_stays_away_is_an_error_after_a_minute(run: Rollout) -> None:
    await run.passes(start(WEB))
    run.cluster.routes["web"].accepts_after_s = 10
    run.cluster.away = (6, 9e9)
    with pytest.raises(Temporary):
        await run.perform(shift(5, WEB))
    assert run.elapsed == 66


async def test_conflicts_are_tried_again_a_few_times(run: Rollout) -> None:
    conflict = Conflict("kubernetes", "conflict", "409")
    run.cluster.fail("start_canary", *[conflict] * 4)
    run.cluster.fail("scale", *[conflict] * 4)
    run.cluster.fail("set_weight", *[conflict] * 4)
    await run.passes(start(WEB), shift(5, WEB))


async def test_a_right_that_is_missing_is_an_error_at_once(run: Rollout) -> None:
    await run.passes(start(WEB))
    run.cluster.fail("set_weight", Permanent("kubernetes", "forbidden", "403"))
    with pytest.raises(Permanent):
        await run.perform(shift(5, WEB))


# --- taking over ------------------------------------------------------------------------------------------------------


async def test_stable_becomes_the_new_version_takes_the_traffic_and_the_canary_goes(run: Rollout) -> None:
    await run.passes(start(), shift(5), shift(25), shift(100), take_over())
    assert run.replicas() == {"web": 3, "worker": 3}
    assert run.cluster.deployments["web"].image_of("app") == NEW["web"]
    assert run.cluster.deployments["worker"].image_of("app") == NEW["worker"]
    assert run.cluster.routes["web"].weight == 0
    assert set(run.facts["taken_over"]) == {"web", "worker"}


async def test_stable_is_never_changed_while_it_has_traffic(run: Rollout) -> None:
    await run.passes(start(), shift(5))
    result = await run.perform(take_over())
    assert (result.outcome, result.verdicts[0].code) == (Outcome.FAIL, "traffic.not_whole")
    assert run.cluster.writes == []


async def test_a_router_in_doubt_before_taking_over_is_waited_for_and_then_held(run: Rollout) -> None:
    await run.passes(start(WEB), shift(100, WEB))
    run.cluster.routes["web"].refusal = "Accepted is False: Pending"
    result = await run.perform(take_over(WEB))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.NO_DATA, "traffic.not_accepted")
    assert run.cluster.writes == []


async def test_a_worker_that_restarts_before_taking_over_is_no_failure(run: Rollout) -> None:
    await run.passes(start(WORKER), shift(100, WORKER))
    run.cluster.resize("worker-canary", 2)
    run.cluster.resize("worker-canary", 3)
    await run.passes(take_over(WORKER))


async def test_the_traffic_stays_on_the_canary_until_stable_is_rolled_out(run: Rollout) -> None:
    await run.passes(start(WEB), shift(100, WEB))
    run.cluster.sick[NEW["web"]] = CRASH
    result = await run.perform(take_over(WEB))
    assert result.outcome is Outcome.FAIL
    assert run.cluster.routes["web"].weight == 100
    assert "web-canary" in run.cluster.deployments


async def test_an_idle_stable_that_was_shrunk_is_brought_to_strength_before_it_takes_over(run: Rollout) -> None:
    await run.passes(start(WEB), shift(100, WEB))
    run.cluster.resize("web", 1)
    await run.passes(take_over(WEB))
    write = next(w for w in run.cluster.moved if w.what == "weight web" and w.number == 0)
    assert write.available == 3


async def test_a_canary_that_can_not_be_removed_does_not_fail_the_release(run: Rollout) -> None:
    await run.passes(start(WEB), shift(100, WEB))
    run.cluster.fail("remove_canary", Permanent("kubernetes", "forbidden", "403"))
    result = await run.perform(take_over(WEB))
    assert result.outcome is Outcome.PASS
    verdict = result.verdicts[-1]
    assert (verdict.outcome, verdict.binding) == (Outcome.ERROR, False)
    assert "kubectl --context staging -n shop delete deployment/web-canary" in verdict.remedy


async def test_taking_over_again_changes_nothing(run: Rollout) -> None:
    await run.passes(start(), shift(5), shift(100), take_over())
    before = list(run.cluster.moved)
    await run.passes(take_over(), remove())
    assert run.cluster.moved == before
