"""Remember, deploy by digest, return: against a cluster in memory, with simulated time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from runbook.plan import Result
from runbook.ports import PodTrouble, Rollout
from runbook.steps import DeployWorkload, RememberImages, ReturnWorkload
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fakes import BUSY_ROLLOUT, GOOD_ROLLOUT, RELEASE, SERVICE, World, deployment

DEPLOY = DeployWorkload(title="Deploy web", image=RELEASE.images[0], timeout_s=600, trouble_within_s=60)
RETURN = ReturnWorkload(
    title="Return web", workload="web", images=(("app", "registry.example/acme/web:old"),), timeout_s=600
)
REMEMBER = RememberImages(title="Remember", workloads=SERVICE.workloads)


@pytest.fixture
def world() -> World:
    return World()


def elapsed(world: World) -> float:
    return (world.clock.now() - NOON).total_seconds()


async def test_the_images_that_run_now_are_remembered(world: World) -> None:
    world.cluster.deployments["web"] = deployment("web", "registry.example/acme/web@sha256:old")
    result: Result = await REMEMBER.perform(world.scene())
    assert result.outcome is Outcome.PASS
    assert result.facts["previous"]["web"] == {"app": "registry.example/acme/web@sha256:old"}


async def test_a_repeat_keeps_the_first_record(world: World) -> None:
    known = {"web": {"app": "first"}}
    result = await REMEMBER.perform(world.scene(facts={"previous": known}))
    assert result.facts["previous"] == known


async def test_a_deployment_that_does_not_exist_is_refused_and_nothing_is_recorded(world: World) -> None:
    del world.cluster.deployments["worker"]
    result = await REMEMBER.perform(world.scene())
    assert result.outcome is Outcome.FAIL
    assert result.facts == {}


async def test_the_image_is_set_by_digest_with_the_run_in_the_annotations(world: World) -> None:
    world.cluster.rollouts = lambda s: BUSY_ROLLOUT if s < 12 else GOOD_ROLLOUT
    result = await world.finish(DEPLOY.perform(world.scene()))
    assert result.outcome is Outcome.PASS
    assert world.cluster.writes == [
        ("web", {"app": RELEASE.images[0].reference}, {"forge/run": "staging-12", "forge/step": "staging-12/3"})
    ]
    assert elapsed(world) == 12


async def test_a_crash_loop_is_named_within_60_s_with_the_last_reason(world: World) -> None:
    """As Kubernetes shows it: one restart at 4 s, the second after a back-off of 10 s."""

    def rollout(s: float) -> Rollout:
        restarts = 0 if s < 4 else 1 if s < 15 else 2
        trouble = PodTrouble("web-1", "app", "crash_loop", "Error", "exit code 1: no such table", restarts, since_s=s)
        return replace(BUSY_ROLLOUT, troubles=(trouble,) if s >= 4 else ())

    world.cluster.rollouts = rollout
    result = await world.finish(DEPLOY.perform(world.scene()))
    assert result.outcome is Outcome.FAIL
    assert "no such table" in result.verdicts[0].reason
    assert elapsed(world) <= 20


async def test_probes_that_never_succeed_are_named_within_60_s(world: World) -> None:
    trouble = PodTrouble("web-1", "app", "not_ready", "Unhealthy", "Readiness probe failed: HTTP 503")
    world.cluster.rollouts = lambda _: replace(BUSY_ROLLOUT, troubles=(trouble,))
    result = await world.finish(DEPLOY.perform(world.scene()))
    assert result.verdicts[0].code == "rollout.not_ready"
    assert elapsed(world) < 60


async def test_one_restart_is_a_blip_and_the_rollout_goes_on(world: World) -> None:
    def rollout(s: float) -> Rollout:
        trouble = PodTrouble("web-1", "app", "crash_loop", "Error", "exit code 1", 1, since_s=s)
        return GOOD_ROLLOUT if s > 14 else replace(BUSY_ROLLOUT, troubles=(trouble,) if s > 4 else ())

    world.cluster.rollouts = rollout
    assert (await world.finish(DEPLOY.perform(world.scene()))).outcome is Outcome.PASS


async def test_the_rollout_that_was_there_before_the_write_does_not_count(world: World) -> None:
    old = replace(GOOD_ROLLOUT, generation=1)
    world.cluster.rollouts = lambda s: old if s < 5 else GOOD_ROLLOUT
    await world.finish(DEPLOY.perform(world.scene()))
    assert elapsed(world) == 5


async def test_an_api_server_that_is_away_for_half_a_minute_is_waited_for(world: World) -> None:
    away = Temporary("kubernetes", "unreachable", "no answer")
    world.cluster.rollouts = lambda s: away if s < 30 else GOOD_ROLLOUT
    assert (await world.finish(DEPLOY.perform(world.scene()))).outcome is Outcome.PASS


async def test_an_api_server_that_stays_away_is_an_error_after_a_minute(world: World) -> None:
    world.cluster.rollouts = lambda _: Temporary("kubernetes", "unreachable", "no answer")
    with pytest.raises(Temporary):
        await world.finish(DEPLOY.perform(world.scene()))
    assert elapsed(world) == 60


async def test_a_rollout_that_may_not_be_read_is_an_error_at_once(world: World) -> None:
    world.cluster.rollouts = lambda _: Permanent("kubernetes", "forbidden", "403")
    with pytest.raises(Permanent):
        await world.finish(DEPLOY.perform(world.scene()))
    assert elapsed(world) == 0


async def test_conflicts_are_tried_again_a_few_times(world: World) -> None:
    world.cluster.write_errors = [Conflict("kubernetes", "conflict", "409") for _ in range(4)]
    assert (await world.finish(DEPLOY.perform(world.scene()))).outcome is Outcome.PASS


async def test_endless_conflicts_are_an_error(world: World) -> None:
    world.cluster.write_errors = [Conflict("kubernetes", "conflict", "409") for _ in range(9)]
    with pytest.raises(Conflict):
        await world.finish(DEPLOY.perform(world.scene()))
    assert len(world.cluster.write_errors) == 4


async def test_a_rollout_that_never_completes_ends_at_its_time_out(world: World) -> None:
    world.cluster.rollouts = lambda _: BUSY_ROLLOUT
    result = await world.finish(DEPLOY.perform(world.scene()))
    assert result.verdicts[0].code == "rollout.timeout"
    assert elapsed(world) == 600


async def test_a_restart_does_not_prolong_the_time_out(world: World) -> None:
    world.cluster.rollouts = lambda _: BUSY_ROLLOUT
    await world.finish(DEPLOY.perform(world.scene()))
    saved = world.saved[-1]
    world.clock.set(NOON + timedelta(seconds=500))
    await world.finish(DEPLOY.perform(world.scene(progress=saved, begun_at=NOON)))
    assert elapsed(world) == 600


async def test_a_downtime_before_the_image_was_set_is_not_the_rollouts(world: World) -> None:
    world.cluster.rollouts = lambda since_s: GOOD_ROLLOUT if since_s > 60 else BUSY_ROLLOUT
    result = await world.finish(DEPLOY.perform(world.scene(begun_at=NOON - timedelta(hours=1))))
    assert result.outcome == Outcome.PASS


async def test_another_image_set_by_somebody_else_meanwhile_is_no_success(world: World) -> None:
    world.cluster.overwritten_by = "registry.example/acme/web@sha256:other"
    result = await world.finish(DEPLOY.perform(world.scene()))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.FAIL, "rollout.overwritten")


async def test_the_previous_image_is_set_back(world: World) -> None:
    result = await world.finish(RETURN.perform(world.scene()))
    assert result.outcome is Outcome.PASS
    assert world.cluster.writes[0][:2] == ("web", {"app": "registry.example/acme/web:old"})


COMMAND = "kubectl --context staging -n shop set image deployment/web app=registry.example/acme/web:old"


@pytest.mark.parametrize(
    "error", [Temporary("kubernetes", "timeout", "no answer"), Permanent("kubernetes", "forbidden", "403")]
)
async def test_a_return_that_can_not_be_done_gives_the_exact_command(world: World, error: ForgeError) -> None:
    world.cluster.write_errors = [error]
    (verdict,) = (await world.finish(RETURN.perform(world.scene()))).verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.ERROR, error.code)
    assert COMMAND in verdict.remedy


async def test_a_return_that_does_not_become_available_gives_the_exact_command(world: World) -> None:
    world.cluster.rollouts = lambda _: BUSY_ROLLOUT
    (verdict,) = (await world.finish(RETURN.perform(world.scene()))).verdicts
    assert verdict.outcome is Outcome.FAIL
    assert COMMAND in verdict.remedy
