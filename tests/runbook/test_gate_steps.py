"""Gates ask all their checks, each with a verdict of its own, and wait for what may still come."""

import asyncio
from datetime import timedelta

import pytest

from runbook.errors import Permanent, Temporary
from runbook.plan import Result
from runbook.ports import CiCheck
from runbook.steps import CandidateTag, CiGreen, Deployable, Gate, SteadyState
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fakes import COMMIT, HEALTH, RELEASE, SERVICE, VERSION, World, deployment, digest, signed_tag

CANDIDATE = CandidateTag(SERVICE.repository, RELEASE)
CI = CiGreen(SERVICE.repository, COMMIT)
STEADY = SteadyState("shop", "1m", 0.01, 0.4, 300)
FACTS = {"observed_from": (NOON - timedelta(minutes=30)).isoformat()}


@pytest.fixture
def world() -> World:
    return World()


async def asked(world: World, *checks: object, patience_s: float = 0.0, facts: dict[str, str] | None = None) -> Result:
    gate = Gate(title="gate", checks=checks, patience_s=patience_s)  # type: ignore[arg-type]
    result: Result = await world.finish(gate.perform(world.scene(facts)))
    return result


def codes(result: Result) -> list[str]:
    return [v.code for v in result.verdicts]


async def test_the_tag_and_the_images_as_frozen_pass(world: World) -> None:
    assert (await asked(world, CANDIDATE)).outcome is Outcome.PASS


async def test_a_tag_moved_and_a_digest_changed_since_the_plan_was_made_are_both_told(world: World) -> None:
    world.code.tags[VERSION] = signed_tag(tag_object="b" * 40)
    world.images.digests["registry.example/acme/web"] = digest("9")
    assert codes(await asked(world, CANDIDATE)) == ["tag.moved", "image.digest_changed"]


async def test_one_system_s_error_never_hides_what_another_said(world: World) -> None:
    world.images.error = Permanent("registry", "forbidden", "the registry refuses the pull secret", "Renew it")
    world.code.ci = [CiCheck("unit", "failure")]
    result = await asked(world, CANDIDATE, CI)
    assert codes(result) == ["ok", "registry.forbidden", "ci.red"]
    assert result.verdicts[1].outcome is Outcome.ERROR
    assert result.verdicts[1].remedy == "Renew it"


async def test_every_workload_speaks(world: World) -> None:
    world.cluster.deployments = {"worker": deployment("worker", replicas=0)}
    result = await asked(world, Deployable(SERVICE.workloads, HEALTH))
    assert codes(result) == ["workload.missing", "workload.no_replicas"]


async def test_a_pending_ci_is_asked_again_until_it_is_green(world: World) -> None:
    world.code.ci = [CiCheck("unit", "pending")]
    task = world.finish(Gate(title="CI", checks=(CI,), patience_s=1800).perform(world.scene()))

    async def turn_green() -> None:
        await world.clock.sleep_until(NOON + timedelta(minutes=10))
        world.code.ci = [CiCheck("unit", "success")]

    turning = asyncio.create_task(turn_green())
    assert (await task).outcome is Outcome.PASS
    await turning
    assert timedelta(minutes=10) <= world.clock.now() - NOON < timedelta(minutes=11)
    assert any("unit pending; asked again every 15 s" in words for words in world.said)


async def test_patience_ends_and_the_gate_says_no_data(world: World) -> None:
    world.code.ci = []
    result = await asked(world, CI, patience_s=1800)
    assert (result.outcome, codes(result)) == (Outcome.NO_DATA, ["ci.none"])
    assert world.clock.now() == NOON + timedelta(minutes=30)


async def test_a_restart_does_not_prolong_the_patience(world: World) -> None:
    world.code.ci = []
    scene = world.scene(begun_at=NOON - timedelta(minutes=29))
    await world.finish(Gate(title="CI", checks=(CI,), patience_s=1800).perform(scene))
    assert world.clock.now() == NOON + timedelta(minutes=1)


async def test_a_red_check_ends_the_waiting_at_once(world: World) -> None:
    world.code.ci = [CiCheck("unit", "failure"), CiCheck("e2e", "pending")]
    assert (await asked(world, CI, patience_s=1800)).outcome is Outcome.FAIL
    assert world.clock.now() == NOON


async def test_an_outage_while_waiting_is_put_up_with_for_a_minute_and_no_longer(world: World) -> None:
    world.code.error = Temporary("github", "unreachable", "no answer")
    result = await asked(world, CI, patience_s=1800)
    assert (result.outcome, codes(result)) == (Outcome.ERROR, ["github.unreachable"])
    assert world.clock.now() == NOON + timedelta(minutes=1)


async def test_an_error_that_will_not_pass_is_told_at_once(world: World) -> None:
    world.code.error = Permanent("github", "forbidden", "the token may not read checks")
    await asked(world, CI, patience_s=1800)
    assert world.clock.now() == NOON


async def test_steady_state_reads_the_whole_observation(world: World) -> None:
    world.metrics.answers = {"request_rate": 5000.0, "error_rate": 10.0, "histogram_quantile": 0.2}
    result = await asked(world, STEADY, facts=FACTS)
    assert result.outcome is Outcome.PASS
    assert "[1799s:15s]" in world.metrics.queries[0]


async def test_requests_that_come_while_too_few_are_waited_for_count(world: World) -> None:
    world.metrics.answers = {"request_rate": 100.0, "error_rate": 0.0, "histogram_quantile": 0.2}
    result = await asked(world, STEADY, facts=FACTS, patience_s=600)
    assert codes(result) == ["metrics.too_few_requests"]
    assert "[2399s:15s]" in world.metrics.queries[-3]


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (None, Outcome.NO_DATA, "metrics.absent"),
        (float("nan"), Outcome.NO_DATA, "metrics.nan"),
        ((400.0, 500.0), Outcome.NO_DATA, "metrics.ambiguous"),
        (Temporary("prometheus", "server_error", "HTTP 500"), Outcome.ERROR, "prometheus.server_error"),
        (Temporary("prometheus", "unreachable", "no answer"), Outcome.ERROR, "prometheus.unreachable"),
        (Permanent("prometheus", "garbage", "no JSON"), Outcome.ERROR, "prometheus.garbage"),
    ],
)
async def test_nan_empty_two_series_500_and_no_answer_are_each_named_and_neither_pass_nor_fail(
    world: World, answer: object, outcome: Outcome, code: str
) -> None:
    world.metrics.answers = {"request_rate": answer, "error_rate": 0.0, "histogram_quantile": 0.2}  # type: ignore[dict-item]
    result = await asked(world, STEADY, facts=FACTS)
    assert (result.outcome, codes(result)) == (outcome, [code])


async def test_without_an_observation_there_is_nothing_to_judge(world: World) -> None:
    assert codes(await asked(world, STEADY)) == ["metrics.no_observation"]
