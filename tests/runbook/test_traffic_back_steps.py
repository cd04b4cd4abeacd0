"""The traffic's way back and the canary's end: against a cluster in memory, with simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from runbook.errors import Permanent
from runbook.ports import Share, TrafficTarget
from runbook.steps import ReturnWorkload
from runbook.steps.homecoming import SURE_S
from runbook.verdicts import Outcome, Verdict
from tests.fakes.clock import NOON
from tests.runbook.fake_traffic import FakeRoute
from tests.runbook.fakes import deployment
from tests.runbook.traffic_stories import (
    BOTH,
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

PATCH = "kubectl --context staging -n shop patch httproute web --type json -p "
IMAGES_BACK = [
    ReturnWorkload(title=f"Return {name}", workload=name, images=(("app", OLD),), timeout_s=600)
    for name in ("worker", "web")
]


@pytest.fixture
async def run() -> Rollout:
    """5 % of web and one pod of worker are new."""
    rollout = Rollout()
    await rollout.passes(start(), shift(5))
    return rollout


@pytest.fixture
async def full() -> Rollout:
    """All of the traffic is on the new version; stable of web stands idle."""
    rollout = Rollout()
    await rollout.passes(start(), shift(5), shift(25), shift(100))
    return rollout


def decide(run: Rollout) -> float:
    run.facts["decided_at"] = run.world.clock.now().isoformat()
    return run.elapsed


def of(verdicts: tuple[Verdict, ...], workload: str) -> Verdict:
    return next(v for v in verdicts if v.gate == f"traffic of {workload}")


# --- stable at full strength ------------------------------------------------------------------------------------------


async def test_scenario_16_with_stable_at_full_strength_weight_0_is_accepted_within_1_s(full: Rollout) -> None:
    decided = decide(full)
    result = await full.perform(back(WEB))
    assert result.outcome is Outcome.PASS
    seconds = result.facts["weight_zero"]["web"]["seconds"]
    assert seconds < 1
    assert full.elapsed - decided == pytest.approx(seconds + SURE_S, abs=0.001)
    evidence = next(e for e in result.verdicts[0].evidence if "decision" in e.name)
    assert (evidence.value, evidence.unit) == (seconds, "s")


async def test_weight_0_is_the_first_write_after_one_look_at_both_deployments(full: Rollout) -> None:
    calls: list[str] = []
    for method in ("deployment", "share", "set_weight", "scale", "rollout"):
        _recorded(full, method, calls)
    scene = full.scene()
    saved = len(full.world.saved)
    task = back(WEB).perform(replace(scene, save=_never))
    with pytest.raises(AssertionError, match="saved"):
        await full.world.finish(task)
    assert calls == ["deployment", "deployment", "set_weight"]
    assert len(full.world.saved) == saved


async def _never(_: object) -> None:
    raise AssertionError("saved")


def _recorded(run: Rollout, method: str, calls: list[str]) -> None:
    original = getattr(run.cluster, method)

    async def recorded(*args: object) -> object:
        calls.append(method)
        return await original(*args)

    setattr(run.cluster, method, recorded)


async def test_the_decision_counts_and_not_the_steps_begin(run: Rollout) -> None:
    run.facts["decided_at"] = (run.world.clock.now() - timedelta(seconds=7)).isoformat()
    result = await run.perform(back(WEB))
    assert 7 <= result.facts["weight_zero"]["web"]["seconds"] < 8


async def test_both_workloads_go_back_and_the_canaries_after_them(run: Rollout) -> None:
    await run.passes(back(), remove())
    assert run.replicas() == {"web": 3, "worker": 3}
    assert run.cluster.routes["web"].weight == 0
    assert set(run.facts["weight_zero"]) == {"web", "worker"}


async def test_a_shift_that_lands_late_is_taken_back(run: Rollout) -> None:
    """Its write was under way when it was interrupted, and nothing was written after it: the traffic was on stable."""
    await run.passes(back(WEB))
    task = asyncio.ensure_future(back(WEB).perform(run.scene()))
    await run.world.clock.advance(0.5)
    run.cluster.routes["web"] = FakeRoute(95, 5, set_at=run.world.clock.now())
    result = await run.world.finish(task)
    assert result.outcome is Outcome.PASS
    assert run.cluster.routes["web"].weight == 0


async def test_a_canary_that_is_created_late_is_removed_too(run: Rollout) -> None:
    await run.passes(back())
    canary = run.cluster.deployments.pop("web-canary")
    task = asyncio.ensure_future(remove(WEB).perform(run.scene()))
    await run.world.clock.advance(0.5)
    run.cluster.deployments["web-canary"] = canary
    assert (await run.world.finish(task)).outcome is Outcome.PASS
    assert "web-canary" not in run.cluster.deployments


async def test_a_canary_that_no_rule_leads_to_any_more_has_no_traffic(run: Rollout) -> None:
    gone = Permanent("kubernetes", "no_backend", "no rule has the backend web-canary")
    share = Share(None, 0.0, False, "no rule has the backend web-canary", "no_backend")
    run.cluster.fail("set_weight", *[gone] * 9)
    run.cluster.share = _always(share)
    result = await run.perform(back(WEB))
    assert result.outcome is Outcome.PASS
    run.cluster.share = _always(replace(share, true_ratio=1.0))
    assert (await run.perform(back(WEB))).verdicts[0].code == "kubernetes.no_backend"
    assert (await run.perform(remove(WEB))).verdicts[0].code == "traffic.still_on_canary"


def _always(share: Share) -> Callable[[TrafficTarget], Awaitable[Share]]:
    async def answer(target: TrafficTarget) -> Share:
        return share

    return answer


async def test_a_second_return_changes_nothing_and_keeps_the_first_times(run: Rollout) -> None:
    await run.passes(back())
    zero, moved = run.facts["weight_zero"], list(run.cluster.moved)
    await run.passes(back())
    assert (run.facts["weight_zero"], run.cluster.moved) == (zero, moved)


async def test_weights_of_somebody_else_are_no_reason_to_leave_a_bad_canary_in_traffic(run: Rollout) -> None:
    run.cluster.routes["web"] = FakeRoute(stable=2, canary=1)
    await run.passes(back(WEB))
    assert run.cluster.routes["web"].weight == 0


# --- stable was shrunk ------------------------------------------------------------------------------------------------


async def test_scenario_16_traffic_returns_at_once_as_far_as_capacity_goes_and_the_rest_as_it_becomes_available(
    full: Rollout,
) -> None:
    full.cluster.resize("web", 1)
    full.cluster.start_s = 30
    decided = decide(full)
    result = await full.perform(back(WEB))
    assert result.outcome is Outcome.PASS
    writes = [w for w in full.cluster.moved if w.what == "weight web"][3:]
    assert [(w.number, w.available) for w in writes] == [(67, 1), (0, 3)]
    assert (writes[0].at - NOON).total_seconds() == decided
    assert 30 <= result.facts["weight_zero"]["web"]["seconds"] < 32
    assert full.replicas()["web"] == 3


async def test_pod_by_pod_stable_never_gets_more_than_its_available_pods_carry(full: Rollout) -> None:
    begun, clock = full.elapsed, full.world.clock
    full.cluster.resize("web", 0)
    full.cluster.start_s = 10
    full.cluster.scale = _nothing  # an autoscaler that insists on its own numbers

    async def autoscaled() -> None:
        for second, pods in ((20, 1), (40, 2), (70, 3)):
            await clock.sleep_until(NOON + timedelta(seconds=begun + second))
            full.cluster.resize("web", pods)

    pods = asyncio.ensure_future(autoscaled())
    await full.passes(back(WEB))
    await pods
    writes = [(w.number, w.available) for w in full.cluster.moved if w.what == "weight web"][3:]
    assert writes == [(67, 1), (34, 2), (0, 3)]


async def _nothing(name: str, replicas: int) -> None:
    return None


async def test_five_percent_return_at_once_although_a_pod_of_stable_is_restarting(run: Rollout) -> None:
    run.cluster.start_s = 300
    run.cluster.resize("web", 2)
    run.cluster.resize("web", 3)
    decide(run)
    await run.passes(back(WEB))
    assert run.facts["weight_zero"]["web"]["seconds"] < 1


async def test_a_stable_that_never_gets_its_pods_keeps_the_traffic_where_pods_are(full: Rollout) -> None:
    full.cluster.resize("web", 0)
    full.cluster.start_s = 1e6
    result = await full.perform(back(WEB))
    verdict = of(result.verdicts, "web")
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "traffic.stuck")
    assert "0 of 3 replicas" in verdict.reason
    assert PATCH in verdict.remedy
    assert full.cluster.routes["web"].weight == 100
    assert "weight_zero" not in result.facts or "web" not in result.facts["weight_zero"]


async def test_workers_go_only_as_far_as_stable_is_back(full: Rollout) -> None:
    full.cluster.start_s = 20
    await full.passes(back(WORKER))
    moved = [(w.what, w.number, w.available) for w in full.cluster.moved][-2:]
    assert moved == [("scale worker", 3, 3), ("scale worker-canary", 0, 6)]
    assert full.replicas()["worker-canary"] == 0


# --- stable has begun to become the new version -----------------------------------------------------------------------


async def test_a_stable_that_is_new_already_gets_its_image_before_its_traffic(full: Rollout) -> None:
    full.cluster.sick[NEW["web"]] = CRASH
    assert (await full.perform(take_over())).outcome is Outcome.FAIL
    first = await full.perform(back())
    assert first.outcome is Outcome.PASS
    assert of(first.verdicts, "web").code == "traffic.later"
    assert set(first.facts["traffic_left"]) == {"web"}
    assert full.cluster.routes["web"].weight == 100
    assert full.replicas()["worker-canary"] == 0
    full.cluster.sick.clear()
    await full.passes(*IMAGES_BACK)
    await full.passes(back(), remove())
    assert full.cluster.routes["web"].weight == 0
    assert full.replicas() == {"web": 3, "worker": 3}
    assert full.cluster.deployments["web"].image_of("app") == OLD


async def test_a_stable_that_still_is_new_at_the_second_return_is_a_failure_with_the_command(full: Rollout) -> None:
    full.cluster.sick[NEW["web"]] = CRASH
    await full.perform(take_over())
    await full.perform(back(WEB))
    result = await full.perform(back(WEB))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.FAIL, "traffic.other_version")
    assert PATCH in result.verdicts[0].remedy


async def test_the_same_step_tried_again_leaves_it_to_the_later_one_again(full: Rollout) -> None:
    full.cluster.sick[NEW["web"]] = CRASH
    await full.perform(take_over())
    await full.perform(back(WEB))
    full.index -= 1
    assert (await full.perform(back(WEB))).verdicts[0].code == "traffic.later"


async def test_workers_that_had_begun_to_take_over_come_back_whole(full: Rollout) -> None:
    full.cluster.sick["worker"] = CRASH
    assert (await full.perform(take_over(WORKER))).verdicts[0].code == "rollout.crash_loop"
    full.cluster.sick.clear()
    assert of((await full.perform(back(WORKER))).verdicts, "worker").code == "traffic.later"
    await full.passes(IMAGES_BACK[0], back(WORKER), remove(WORKER))
    assert full.replicas()["worker"] == 3
    assert full.cluster.deployments["worker"].image_of("app") == OLD


async def test_a_release_that_was_taken_over_has_no_traffic_to_move(full: Rollout) -> None:
    await full.passes(take_over(), back(), *IMAGES_BACK, back(), remove())
    assert full.cluster.deployments["web"].image_of("app") == OLD


async def test_a_worker_without_pods_gets_its_image_and_its_pods_with_the_traffic(full: Rollout) -> None:
    await full.passes(IMAGES_BACK[0])
    full.facts.pop("sizes")
    assert (await full.perform(IMAGES_BACK[0])).verdicts[0].code == "rollout.no_replicas"


# --- what goes wrong --------------------------------------------------------------------------------------------------


async def test_one_workload_that_can_not_go_back_keeps_no_other_from_it(run: Rollout) -> None:
    del run.cluster.routes["web"]
    result = await run.perform(back())
    web = of(result.verdicts, "web")
    assert (web.outcome, web.code) == (Outcome.ERROR, "kubernetes.no_route")
    assert PATCH in web.remedy
    assert of(result.verdicts, "worker").outcome is Outcome.PASS
    assert set(result.facts["weight_zero"]) == {"worker"}


async def test_an_api_server_that_is_away_for_ten_minutes_is_waited_for(run: Rollout) -> None:
    run.cluster.away = (run.elapsed, run.elapsed + 590)
    result = await run.perform(back())
    assert result.outcome is Outcome.PASS
    assert result.facts["weight_zero"]["web"]["seconds"] >= 590


async def test_an_api_server_that_stays_away_is_an_error_with_the_command_for_each_workload(run: Rollout) -> None:
    run.cluster.away = (run.elapsed, 9e9)
    result = await run.perform(back())
    assert [v.outcome for v in result.verdicts] == [Outcome.ERROR, Outcome.ERROR]
    assert PATCH in of(result.verdicts, "web").remedy
    assert "scale deployment/worker --replicas=3" in of(result.verdicts, "worker").remedy


async def test_a_router_that_does_not_accept_weight_0_is_told_with_the_command(run: Rollout) -> None:
    run.cluster.routes["web"].refusal = "Gateway web: no controller has answered"
    result = await run.perform(back(WEB))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.NO_DATA, "traffic.not_accepted")
    assert PATCH in result.verdicts[0].remedy
    assert run.cluster.routes["web"].weight == 0


async def test_without_stable_nothing_is_moved(run: Rollout) -> None:
    del run.cluster.deployments["web"]
    result = await run.perform(back(WEB))
    assert result.verdicts[0].code == "workload.missing"
    assert run.cluster.routes["web"].weight == 5


# --- the canary's end -------------------------------------------------------------------------------------------------


async def test_a_canary_that_still_has_traffic_stays(run: Rollout) -> None:
    result = await run.perform(remove())
    assert {v.code for v in result.verdicts} == {"traffic.still_on_canary"}
    assert PATCH in of(result.verdicts, "web").remedy
    assert "scale deployment/worker --replicas=3" in of(result.verdicts, "worker").remedy
    assert {"web-canary", "worker-canary"} <= set(run.replicas())


async def test_a_canary_stays_until_the_router_has_accepted_that_it_has_nothing(run: Rollout) -> None:
    run.cluster.routes["web"].refusal = "Accepted is False: Pending"
    await run.perform(back(WEB))
    result = await run.perform(remove(WEB))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.NO_DATA, "traffic.not_accepted")
    assert "web-canary" in run.cluster.deployments
    run.cluster.routes["web"].refusal = ""
    await run.passes(remove(WEB))
    assert "web-canary" not in run.cluster.deployments


async def test_a_canary_of_another_run_stays(run: Rollout) -> None:
    await run.passes(back())
    run.cluster.deployments["web-canary"] = deployment("web-canary", marks={"forge/run": "prod-9"})
    run.cluster.deployments["worker-canary"] = deployment("worker-canary")
    await run.passes(remove())
    assert {"web-canary", "worker-canary"} <= set(run.replicas())


async def test_a_canary_that_does_not_go_is_told(run: Rollout) -> None:
    await run.passes(back(WEB))
    run.cluster.grace_s = 1e6
    result = await run.perform(remove(WEB))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.FAIL, "traffic.canary_stays")
    assert "describe deployment/web-canary" in result.verdicts[0].remedy


async def test_a_removal_that_is_refused_gives_the_command_and_the_others_go(run: Rollout) -> None:
    await run.passes(back())
    run.cluster.fail("remove_canary", Permanent("kubernetes", "forbidden", "403", "Grant the right"))
    result = await run.perform(remove())
    refused = next(v for v in result.verdicts if v.outcome is Outcome.ERROR)
    assert "Grant the right. By hand: kubectl" in refused.remedy
    assert len(set(run.replicas()) & {one.canary for one in BOTH}) == 1


async def test_without_a_route_a_canary_gets_nothing_and_may_go(run: Rollout) -> None:
    del run.cluster.routes["web"]
    await run.passes(remove(WEB))
