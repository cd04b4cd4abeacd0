"""The way back begins with the end of what the run has started."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbook.errors import ForgeError, Permanent, Temporary
from runbook.jobs import JobOrder
from runbook.plan import Result
from runbook.steps import StopJobs
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fake_jobs import JobLife
from tests.runbook.fakes import World
from tests.runbook.job_stories import ENDLESS, IMAGE

STOP = StopJobs(title="Stop the run's Jobs")
BY_HAND = "kubectl --context staging -n shop delete jobs -l forge/run=staging-12 --cascade=foreground"


def order(name: str, run: str = "staging-12") -> JobOrder:
    return JobOrder(name=name, key=name, run=run, step=f"{run}/3", image=IMAGE)


@pytest.fixture
async def world() -> World:
    world = World()
    world.cluster.lives = lambda _: replace(ENDLESS, grace_s=8)
    for each in (order("forge-staging-12-3"), order("forge-staging-12-4"), order("forge-staging-13-3", "staging-13")):
        await world.cluster.start_job(each)
    return world


def elapsed(world: World) -> float:
    return (world.clock.now() - NOON).total_seconds()


async def test_every_job_of_the_run_is_stopped_and_awaited_and_no_other(world: World) -> None:
    result: Result = await world.finish(STOP.perform(world.scene()))
    (verdict,) = result.verdicts
    assert verdict.outcome is Outcome.PASS
    assert "forge-staging-12-3 and forge-staging-12-4" in verdict.reason
    assert list(world.cluster.there) == ["forge-staging-13-3"]
    assert 8 <= elapsed(world) <= 10


async def test_without_jobs_there_is_nothing_to_do(world: World) -> None:
    world.cluster.there.clear()
    result = await world.finish(STOP.perform(world.scene()))
    assert result.outcome is Outcome.PASS
    assert elapsed(world) <= 1


async def test_a_creation_that_was_still_under_way_is_caught(world: World) -> None:
    """The step that asked for it was cancelled, the cluster carried it out all the same."""
    world.cluster.there.clear()
    first = await world.cluster.jobs_of("staging-12")
    assert first == ()

    async def late(run: str, prefix: str) -> tuple[object, ...]:
        found = await type(world.cluster).jobs_of(world.cluster, run, prefix)
        if "late" not in known:
            known.append("late")
            await world.cluster.start_job(order("forge-staging-12-5"))
        return found

    known: list[str] = []
    world.cluster.jobs_of = late  # type: ignore[method-assign,assignment]
    result = await world.finish(STOP.perform(world.scene()))
    assert "forge-staging-12-5" in result.verdicts[0].reason
    assert world.cluster.there == {}


async def test_a_job_that_does_not_end_is_named_with_the_command_for_it(world: World) -> None:
    world.cluster.there["forge-staging-12-3"].life = replace(ENDLESS, grace_s=1e6)
    result = await world.finish(STOP.perform(world.scene()))
    (verdict,) = result.verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "jobs.not_gone")
    assert verdict.reason.startswith("forge-staging-12-3 still ends")
    assert BY_HAND in verdict.remedy
    assert 90 <= elapsed(world) <= 92


@pytest.mark.parametrize("method", ["jobs_of", "delete_job"])
async def test_an_api_server_that_is_away_for_half_a_minute_is_waited_for(world: World, method: str) -> None:
    world.cluster.errors[method] = [Temporary("kubernetes", "unreachable", "no answer")] * 30
    assert (await world.finish(STOP.perform(world.scene()))).outcome is Outcome.PASS


@pytest.mark.parametrize(
    "error", [Temporary("kubernetes", "unreachable", "no answer"), Permanent("kubernetes", "forbidden", "403")]
)
@pytest.mark.parametrize("method", ["jobs_of", "delete_job"])
async def test_what_can_not_be_stopped_gives_the_exact_command(world: World, method: str, error: ForgeError) -> None:
    world.cluster.errors[method] = [error] * 100
    (verdict,) = (await world.finish(STOP.perform(world.scene()))).verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.ERROR, error.code)
    assert BY_HAND in verdict.remedy


async def test_a_repeat_after_everything_was_stopped_changes_nothing(world: World) -> None:
    await world.finish(STOP.perform(world.scene()))
    told = list(world.cluster.deleted)
    assert (await world.finish(STOP.perform(world.scene()))).outcome is Outcome.PASS
    assert world.cluster.deleted == told


async def test_jobs_that_have_ended_are_cleared_away_too(world: World) -> None:
    world.cluster.lives = lambda _: JobLife(starts_after_s=0, runs_s=0)
    await world.cluster.start_job(order("forge-staging-12-9"))
    await world.finish(STOP.perform(world.scene()))
    assert "forge-staging-12-9" not in world.cluster.there
