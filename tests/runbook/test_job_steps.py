"""Jobs as steps: created, awaited, judged and cleared away, on simulated time."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from runbook.jobs import JobOrder
from runbook.plan import Plan, Result, Work, canonical, parse
from runbook.ports import JobState, PodTrouble
from runbook.rules.jobs import Way, job_name, job_number, judge_state
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict
from tests.fakes.clock import NOON
from tests.runbook.fake_jobs import JobLife
from tests.runbook.fakes import World
from tests.runbook.job_stories import ENDLESS, IMAGE, NEVER, NO_IMAGE, TEMPLATE, measure, migrate, suite, verify

NAME = "forge-staging-12-3"
AWAY = Temporary("kubernetes", "unreachable", "no answer")
FORBIDDEN = Permanent("kubernetes", "forbidden", "403")


@pytest.fixture
def world() -> World:
    return World()


def elapsed(world: World) -> float:
    return (world.clock.now() - NOON).total_seconds()


def lives(world: World, life: JobLife) -> None:
    world.cluster.lives = lambda _: life


async def verdict_of(world: World, step: Work | None = None) -> Verdict:
    result: Result = await world.finish((step or migrate()).perform(world.scene()))
    (verdict,) = result.verdicts
    return verdict


async def test_a_job_is_created_with_the_releases_image_and_what_forge_knows(world: World) -> None:
    template = replace(TEMPLATE, env={"LEVEL": "2", "FORGE_TARGET_URL": "http://inside"}, memory="1Gi", cpu="500m")
    result = await world.finish(migrate(template=template).perform(world.scene()))
    (order,) = world.cluster.created
    assert result.outcome is Outcome.PASS
    assert (order.name, order.run, order.step, order.image) == (NAME, "staging-12", "staging-12/3", IMAGE)
    assert (order.command, order.memory, order.cpu) == (TEMPLATE.command, "1Gi", "500m")
    assert order.env == {
        "FORGE_RUN": "staging-12",
        "FORGE_ENVIRONMENT": "staging",
        "FORGE_SERVICE": "shop",
        "FORGE_VERSION": "v1.4.0-rc.2",
        "FORGE_TARGET_URL": "http://inside",
        "FORGE_MIGRATION": "orders",
        "FORGE_DIRECTION": "up",
        "LEVEL": "2",
    }


async def test_a_job_that_ended_is_cleared_away_and_its_log_is_evidence(world: World) -> None:
    lives(world, JobLife(output="one\n\x1b[31mtwo\x1b[0m\npassword=hunter2\n"))
    verdict = await verdict_of(world)
    shown = {e.name: e.value for e in verdict.evidence}
    assert shown["last lines of the log"] == "one\ntwo\npassword=***"
    assert (shown["result"], shown["exit code"], shown["duration"]) == ("succeeded", 0, 5.0)
    assert world.cluster.there == {}


async def test_a_migration_that_went_up_is_a_fact(world: World) -> None:
    result = await world.finish(migrate().perform(world.scene()))
    fact = result.facts["migration:orders"]
    assert (fact["state"], fact["backward_compatible"], fact["started"]) == ("up", False, True)


async def test_a_failed_migration_says_what_it_may_have_done_and_names_the_way_down(world: World) -> None:
    lives(world, JobLife(exit_code=1, output="locking\nERROR: deadlock detected\n"))
    result = await world.finish(migrate().perform(world.scene()))
    (verdict,) = result.verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "job.failed")
    assert "exited with code 1 after 5 s; its last line: ERROR: deadlock detected" in verdict.reason
    assert "may be half changed" in verdict.reason
    assert "the image of web with: alembic downgrade -1" in verdict.remedy
    assert result.facts["migration:orders"]["state"] == "failed"


async def test_a_migration_without_a_way_down_says_so(world: World) -> None:
    lives(world, JobLife(exit_code=1))
    assert "No down Job is declared" in (await verdict_of(world, migrate(down=None))).remedy


async def test_a_failed_way_down_does_not_name_itself_as_the_remedy(world: World) -> None:
    lives(world, JobLife(exit_code=1))
    verdict = await verdict_of(world, migrate(direction="down"))
    assert "by hand" in verdict.remedy
    assert "down Job is" not in verdict.remedy


async def test_a_migration_that_went_down_is_a_fact(world: World) -> None:
    result = await world.finish(migrate(direction="down").perform(world.scene()))
    assert result.facts["migration:orders"]["state"] == "down"
    assert world.cluster.created[0].env["FORGE_DIRECTION"] == "down"


async def test_a_migration_that_never_started_has_not_touched_the_schema(world: World) -> None:
    lives(world, NEVER)
    result = await world.finish(migrate().perform(world.scene()))
    assert "has not touched the schema" in result.verdicts[0].reason
    assert result.facts["migration:orders"]["started"] is False


async def test_the_verification_keeps_its_outcome(world: World) -> None:
    lives(world, JobLife(exit_code=3, output="2 orders without a customer\n"))
    result = await world.finish(verify().perform(world.scene()))
    assert result.outcome is Outcome.FAIL
    assert result.facts["verification"]["outcome"] == "fail"


# --- ends that aren't the program's -----------------------------------------------------------------------------------


async def test_a_job_that_hangs_is_stopped_at_its_limit_and_awaited(world: World) -> None:
    lives(world, replace(ENDLESS, output="waiting for a lock\n", grace_s=20))
    verdict = await verdict_of(world)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "job.timeout")
    assert "still ran after 5 min" in verdict.reason
    assert "waiting for a lock" in verdict.reason
    assert elapsed(world) == 301 + 20
    assert world.cluster.there == {}


async def test_a_job_that_does_not_end_although_it_was_stopped_is_named(world: World) -> None:
    lives(world, replace(ENDLESS, grace_s=1e6))
    verdict = await verdict_of(world)
    assert verdict.code == "job.timeout"
    assert any(e.name == "left behind" and "has not ended" in str(e.value) for e in verdict.evidence)


async def test_kubernetes_own_deadline_is_a_time_out_too(world: World) -> None:
    lives(world, JobLife(exit_code=None, reason="DeadlineExceeded", message="Job was active longer than specified"))
    assert (await verdict_of(world)).code == "job.timeout"


async def test_a_job_that_never_starts_is_named_after_its_limit(world: World) -> None:
    crowded = PodTrouble("p", "", "unschedulable", "Unschedulable", "0/3 nodes are available: insufficient memory")
    lives(world, replace(NEVER, trouble=crowded))
    verdict = await verdict_of(world)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "job.never_started")
    assert "insufficient memory" in verdict.reason
    assert 120 <= elapsed(world) <= 125


async def test_an_image_that_can_not_be_pulled_is_named_as_soon_as_that_is_sure(world: World) -> None:
    lives(world, replace(NEVER, trouble=NO_IMAGE))
    verdict = await verdict_of(world)
    assert "Back-off pulling image" in verdict.reason
    assert elapsed(world) < 30


async def test_a_trouble_that_passes_is_waited_for(world: World) -> None:
    lives(world, JobLife(starts_after_s=15, trouble=NO_IMAGE))
    assert (await verdict_of(world)).outcome is Outcome.PASS


async def test_too_much_memory_is_named(world: World) -> None:
    lives(world, JobLife(exit_code=137, reason="OOMKilled"))
    verdict = await verdict_of(world)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "job.oom")
    assert "more memory than its limit" in verdict.reason


async def test_a_job_that_somebody_deleted_is_an_error_and_no_failure(world: World) -> None:
    lives(world, replace(ENDLESS, vanishes_after_s=30))
    verdict = await verdict_of(world, suite())
    assert (verdict.outcome, verdict.code) == (Outcome.ERROR, "job.gone")


async def test_a_job_that_is_being_deleted_by_somebody_else_is_awaited_and_given_up(world: World) -> None:
    lives(world, replace(ENDLESS, grace_s=10))

    async def meddle() -> None:
        await world.clock.sleep_until(NOON + timedelta(seconds=20))
        await world.cluster.delete_job(NAME)

    meddling = asyncio.ensure_future(meddle())
    verdict = await verdict_of(world, suite())
    await meddling
    assert (verdict.outcome, verdict.code) == (Outcome.ERROR, "job.gone")
    assert elapsed(world) == 30


async def test_a_pod_that_was_evicted_is_an_error_and_no_failure(world: World) -> None:
    lives(world, JobLife(exit_code=None, reason="Evicted", message="The node was low on resource: memory"))
    verdict = await verdict_of(world, suite())
    assert (verdict.outcome, verdict.code) == (Outcome.ERROR, "job.lost")
    assert "low on resource" in verdict.reason


async def test_the_exit_code_of_an_evicted_pod_says_nothing_of_the_release(world: World) -> None:
    lives(world, JobLife(exit_code=137, reason="Evicted", message="The node was low on resource: memory"))
    assert (await verdict_of(world, suite())).code == "job.lost"


def test_a_container_that_has_ended_is_not_stopped_for_the_time_that_kubernetes_takes() -> None:
    ended = JobState(NAME, "k", "running", exit_code=0, started_at=NOON, finished_at=NOON + timedelta(seconds=299))
    for now_s, way in ((301, None), (331, Way.TIMED_OUT)):
        assert judge_state(ended, "k", NOON + timedelta(seconds=now_s), NOON, 0.0, 300, 120) is way


async def test_a_new_attempt_after_a_deleted_job_makes_a_new_one(world: World) -> None:
    lives(world, replace(ENDLESS, vanishes_after_s=30))
    await world.finish(suite().perform(world.scene()))
    lives(world, JobLife())
    result = await world.finish(suite().perform(world.scene(progress=world.saved[-1], attempt=2)))
    assert result.outcome is Outcome.PASS
    assert [order.name for order in world.cluster.created] == [NAME, f"{NAME}-2"]
    assert len({order.key for order in world.cluster.created}) == 2


# --- a cluster that doesn't answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["start_job", "job", "delete_job"])
async def test_an_api_server_that_is_away_for_half_a_minute_is_waited_for(world: World, method: str) -> None:
    world.cluster.errors[method] = [AWAY] * 30
    assert (await verdict_of(world)).outcome is Outcome.PASS
    assert len(world.cluster.created) == 1


@pytest.mark.parametrize("method", ["start_job", "job"])
@pytest.mark.parametrize("error", [AWAY, FORBIDDEN])
async def test_an_api_server_that_stays_away_is_an_error_and_a_new_attempt_takes_the_job_up(
    world: World, method: str, error: ForgeError
) -> None:
    world.cluster.errors[method] = [error] * (1 if error is FORBIDDEN else 61)
    with pytest.raises(type(error)):
        await world.finish(migrate().perform(world.scene()))
    result = await world.finish(migrate().perform(world.scene(progress=world.saved[-1], attempt=2)))
    assert result.outcome is Outcome.PASS
    assert len(world.cluster.created) == 1


async def test_a_name_that_is_taken_is_waited_for_a_while(world: World) -> None:
    world.cluster.errors["start_job"] = [Conflict("kubernetes", "conflict", "being deleted")] * 5
    assert (await verdict_of(world)).outcome is Outcome.PASS


async def test_a_name_that_stays_taken_is_an_error(world: World) -> None:
    foreign = JobOrder(name=NAME, key="foreign", run="another", step="another/3", image=IMAGE)
    await world.cluster.start_job(foreign)
    with pytest.raises(Conflict):
        await world.finish(migrate().perform(world.scene()))
    assert world.cluster.there[NAME].order.key == "foreign"


@pytest.mark.parametrize("error", [AWAY, FORBIDDEN])
async def test_a_log_that_can_not_be_read_does_not_hide_the_exit_code(world: World, error: ForgeError) -> None:
    world.cluster.errors["job_log"] = [error] * 60
    verdict = await verdict_of(world, suite())
    assert verdict.outcome is Outcome.PASS
    assert any(e.name == "log" and error.cause in str(e.value) for e in verdict.evidence)


async def test_a_log_whose_reading_broke_off_is_read_again(world: World) -> None:
    lives(world, JobLife(complete_log=False))
    verdict = await verdict_of(world, suite())
    assert world.cluster.logs_read == [NAME, NAME]
    assert any(e.name == "log" and "broke off" in str(e.value) for e in verdict.evidence)


async def test_a_job_that_can_not_be_deleted_keeps_its_result_and_is_named(world: World) -> None:
    world.cluster.errors["delete_job"] = [FORBIDDEN]
    verdict = await verdict_of(world)
    assert verdict.outcome is Outcome.PASS
    assert any(e.name == "left behind" for e in verdict.evidence)


# --- images, retries, names -------------------------------------------------------------------------------------------


async def test_the_image_that_ran_before_is_taken_from_the_record(world: World) -> None:
    before = f"registry.example/acme/web@sha256:{'0' * 64}"
    step = suite(image="", previous_of="web/app")
    await world.finish(step.perform(world.scene(facts={"previous": {"web": {"app": before}}})))
    assert world.cluster.created[0].image == before


async def test_without_a_remembered_image_nothing_is_created(world: World) -> None:
    verdict = await verdict_of(world, suite(image="", previous_of="web/app"))
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "job.no_image")
    assert world.cluster.created == []


async def test_a_persons_retry_takes_up_the_job_that_still_runs(world: World) -> None:
    """It forgets the progress."""
    lives(world, JobLife(runs_s=100))
    world.cluster.errors["job"] = [FORBIDDEN]
    with pytest.raises(Permanent):
        await world.finish(migrate().perform(world.scene()))
    result = await world.finish(migrate().perform(world.scene(progress=None, attempt=2)))
    assert result.outcome is Outcome.PASS
    assert len(world.cluster.created) == 1


async def test_a_persons_retry_after_a_failed_job_that_is_still_there_makes_a_new_one(world: World) -> None:
    lives(world, JobLife(exit_code=1))
    world.cluster.errors["delete_job"] = [FORBIDDEN]
    await world.finish(migrate().perform(world.scene()))
    lives(world, JobLife())
    result = await world.finish(migrate().perform(world.scene(progress=None, attempt=2)))
    assert result.outcome is Outcome.PASS
    assert [order.name for order in world.cluster.created] == [NAME, f"{NAME}-2"]


async def test_a_pause_does_not_stop_the_clock_of_a_job(world: World) -> None:
    world.paused = True
    lives(world, ENDLESS)
    assert (await verdict_of(world)).code == "job.timeout"


async def test_what_happens_is_said(world: World) -> None:
    lives(world, JobLife(starts_after_s=3, trouble=PodTrouble("p", "", "unschedulable", "Unschedulable", "no room")))
    await verdict_of(world)
    said = "\n".join(world.said)
    assert f"{NAME} waits to start for 2 s; p can't be scheduled (Unschedulable: no room)" in said
    assert f"{NAME} runs for 4 s" in said


def test_every_kind_survives_being_stored() -> None:
    steps = (migrate(), migrate(down=None), verify(), suite(), measure(), suite(image="", previous_of="web/app"))
    plan = Plan(procedure="staging", service="shop", environment=Environment.STAGING, version="v1", nodes=steps)
    assert parse(canonical(plan)).nodes == steps


# --- names --------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=80), st.integers(0, 500), st.integers(1, 999))
def test_a_name_is_a_dns_label_that_its_step_finds_again(run: str, index: int, number: int) -> None:
    name = job_name(run, index, number)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
    assert job_number(name, run, index) == number
    assert name != job_name(run + "x", index, number)


def test_a_usual_run_gives_a_readable_name() -> None:
    assert job_name("staging-12", 3, 1) == "forge-staging-12-3"
    assert job_name("staging-12", 3, 2) == "forge-staging-12-3-2"
    assert job_number("forge-staging-12-4", "staging-12", 3) is None
