"""Stable stays at full size while the canary has its traffic, whatever its autoscaler wants: a cluster in memory, with simulated time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbook.errors import Conflict, Permanent, Temporary
from runbook.plan import Result
from runbook.ports import Autoscaler
from runbook.verdicts import Outcome, Verdict
from tests.runbook.fake_traffic import FakeRoute
from tests.runbook.traffic_stories import WEB, WORKER, Rollout, back, remove, shift, start, take_over

IDLE = Autoscaler("web-scaler", least=1, most=6)
FORBIDDEN = Permanent("kubernetes", "forbidden", "Kubernetes answered 403", "Grant the right")


@pytest.fixture
def run() -> Rollout:
    rollout = Rollout()
    rollout.cluster.scalers = {"web": IDLE}
    return rollout


@pytest.fixture
async def full(run: Rollout) -> Rollout:
    await run.passes(start(WEB), shift(5, WEB), shift(100, WEB))
    return run


def least(run: Rollout) -> tuple[int, dict[str, str]]:
    found = run.cluster.scalers["web"]
    return found.least, dict(found.marks)


def size_of(result: Result, workload: str = "web") -> Verdict:
    return next(v for v in result.verdicts if v.gate == f"size of {workload}")


HELD = (3, {"forge/run": "prod-7", "forge/min-replicas": "1", "forge/held-replicas": "3"})
FREE: tuple[int, dict[str, str]] = (1, {})


async def test_stable_keeps_its_size_though_nothing_asks_for_it_any_more(full: Rollout) -> None:
    run = full.scene().run
    assert least(full) == (3, {**HELD[1], "forge/run": run})
    assert full.replicas() == {"web": 3, "worker": 3, "web-canary": 3}
    assert full.facts["held_sizes"] == {"web": {"web-scaler": {"before": 1, "least": 3}}}


async def test_it_is_held_before_any_traffic_moves_and_once(full: Rollout) -> None:
    writes = [write.what for write in full.cluster.moved]
    assert writes.index("least web") < writes.index("weight web")
    assert writes.count("least web") == 1


async def test_the_steps_verdict_says_what_keeps_stable_at_its_size(run: Rollout) -> None:
    await run.passes(start())
    result = await run.perform(shift(5))
    assert size_of(result).reason == (
        "the autoscaler web-scaler keeps web at 3 replicas or more until the roll-out is over (minReplicas was 1)"
    )
    assert size_of(result, "worker").reason == "no HorizontalPodAutoscaler scales worker: it keeps its size"
    assert not any(v.binding for v in result.verdicts if v.gate.startswith("size of"))


async def test_the_way_back_finds_stable_whole_and_lets_the_autoscaler_go_at_its_end(full: Rollout) -> None:
    decided = full.elapsed
    full.facts["decided_at"] = full.world.clock.now().isoformat()
    result = await full.perform(back(WEB))
    assert result.facts["weight_zero"]["web"]["seconds"] < 1
    assert least(full)[0] == 3, "until the canary is gone"
    last = await full.passes(remove(WEB))
    assert least(full) == FREE
    assert size_of(last).reason == "web isn't kept at full size any more: web-scaler has minReplicas 1 again"
    assert full.elapsed - decided < 10


async def test_the_take_over_lets_the_autoscaler_go_when_stable_has_the_traffic_again(full: Rollout) -> None:
    result = await full.passes(take_over(WEB))
    assert least(full) == FREE
    assert size_of(result).outcome is Outcome.PASS
    assert full.replicas()["web"] == 3


async def test_a_process_that_died_after_the_write_finds_its_own_hold(run: Rollout) -> None:
    """The facts know nothing of it: the autoscaler tells what to set back."""
    await run.passes(start(WEB), shift(5, WEB))
    del run.facts["held_sizes"]
    await run.passes(shift(5, WEB))
    assert run.facts["held_sizes"] == {"web": {"web-scaler": {"before": 1, "least": 3}}}
    del run.facts["held_sizes"]
    await run.passes(back(WEB), remove(WEB))
    assert least(run) == FREE


async def test_a_hold_that_lands_late_is_taken_back(run: Rollout) -> None:
    """Its write was under way when its step was interrupted."""
    await run.passes(start(WEB), back(WEB))
    marks = {"forge/run": run.scene().run, "forge/min-replicas": "1", "forge/held-replicas": "3"}
    looks, look = [], run.cluster.autoscalers

    async def landed_after_the_first_look(workload: str) -> tuple[Autoscaler, ...]:
        found: tuple[Autoscaler, ...] = await look(workload)
        if not looks:
            run.cluster.scalers["web"] = replace(IDLE, least=3, marks=marks, version="late")
        looks.append(workload)
        return found

    run.cluster.autoscalers = landed_after_the_first_look
    await run.passes(remove(WEB))
    assert (looks, least(run)) == (["web", "web"], FREE)


async def test_what_somebody_has_set_meanwhile_stays(full: Rollout) -> None:
    full.cluster.scalers["web"] = replace(full.cluster.scalers["web"], least=2, version="theirs")
    result = await full.perform(shift(100, WEB))
    assert (result.outcome, size_of(result).code) == (Outcome.PASS, "size.changed")
    last = await full.passes(back(WEB), remove(WEB))
    assert least(full) == (2, {})
    assert "web-scaler has minReplicas 2, which somebody has set meanwhile" in size_of(last).reason


async def test_another_runs_hold_is_not_ended(full: Rollout) -> None:
    marks = {**least(full)[1], "forge/run": "prod-9"}
    full.cluster.scalers["web"] = replace(full.cluster.scalers["web"], marks=marks)
    await full.passes(back(WEB), remove(WEB))
    assert least(full) == (3, marks)


async def test_without_the_right_it_is_told_and_the_roll_out_goes_on(run: Rollout) -> None:
    await run.passes(start(WEB))
    run.cluster.fail("autoscalers", FORBIDDEN)
    result = await run.perform(shift(5, WEB))
    assert result.outcome is Outcome.PASS
    said = size_of(result)
    assert (said.code, said.binding, said.remedy) == ("kubernetes.forbidden", False, "Grant the right")
    assert "may shrink web below 3 replicas while it has no traffic" in said.reason
    run.cluster.fail("autoscalers", FORBIDDEN)
    await run.passes(back(WEB), remove(WEB))


async def test_an_autoscaler_that_something_else_manages_is_left_alone(run: Rollout) -> None:
    run.cluster.scalers["web"] = replace(IDLE, owner="ScaledObject/web")
    await run.passes(start(WEB))
    said = size_of(await run.passes(shift(5, WEB)))
    assert (said.code, said.binding) == ("size.not_ours", False)
    assert said.remedy == "Raise the minimum of ScaledObject/web for the time of the release"
    assert least(run) == FREE


async def test_an_autoscaler_that_changes_all_the_while_is_read_again(run: Rollout) -> None:
    conflict = Conflict("kubernetes", "conflict", "the object has been modified")
    await run.passes(start(WEB))
    run.cluster.fail("set_least", conflict, conflict)
    await run.passes(shift(5, WEB))
    assert least(run)[0] == 3
    run.cluster.fail("set_least", conflict, conflict)
    await run.passes(back(WEB), remove(WEB))
    assert least(run) == FREE


async def test_an_api_server_that_gives_no_answer_stops_the_shift_before_any_weight(run: Rollout) -> None:
    await run.passes(start(WEB))
    run.cluster.fail("autoscalers", Temporary("kubernetes", "unreachable", "the Kubernetes API can't be reached"))
    with pytest.raises(Temporary):
        await run.perform(shift(5, WEB))
    assert run.moved("weight web") == []


async def test_an_autoscaler_that_can_not_be_let_go_leaves_the_rollback_incomplete_with_the_command(
    full: Rollout,
) -> None:
    await full.passes(back(WEB))
    full.cluster.fail("set_least", FORBIDDEN)
    result = await full.perform(remove(WEB))
    said = size_of(result)
    assert (result.outcome, said.outcome) == (Outcome.ERROR, Outcome.ERROR)
    assert "kubectl --context staging -n shop patch hpa web-scaler --type merge -p" in said.remedy
    await full.passes(remove(WEB))
    assert least(full) == FREE


async def test_a_release_is_no_worse_for_an_autoscaler_that_can_not_be_let_go(full: Rollout) -> None:
    full.cluster.fail("set_least", FORBIDDEN)
    result = await full.perform(take_over(WEB))
    assert (result.outcome, size_of(result).binding) == (Outcome.PASS, False)


async def test_a_canary_that_keeps_traffic_keeps_stable_at_its_size(full: Rollout) -> None:
    """A person may have to bring it back by hand, and stable has to take it."""
    result = await full.perform(remove(WEB))
    assert result.outcome is Outcome.FAIL
    assert least(full)[0] == 3
    full.cluster.routes["web"] = FakeRoute()
    await full.passes(remove(WEB))
    assert least(full) == FREE


async def test_by_numbers_of_pods_an_autoscaler_doesnt_undo_the_share() -> None:
    run = Rollout()
    run.cluster.scalers = {"worker": Autoscaler("worker", least=1, most=6)}
    await run.passes(start(WORKER), shift(25, WORKER))
    assert run.cluster.scalers["worker"].least == 3
    await run.passes(shift(75, WORKER))
    assert (run.cluster.scalers["worker"].least, run.replicas()["worker"]) == (1, 1)
    await run.passes(shift(100, WORKER))
    assert run.replicas()["worker"] == 0
    await run.passes(back(WORKER), remove(WORKER))
    assert (run.cluster.scalers["worker"].least, run.replicas()["worker"]) == (1, 3)
