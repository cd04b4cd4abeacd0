"""What the bot depends on fails in the middle of a run: it holds, tells, catches up, and does nothing twice."""

from __future__ import annotations

import pytest

from sandbox.world.staff import ADA
from tests.whole.stage import Stage
from tests.whole.test_restarts import doubled

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_without_prometheus_the_run_is_held_and_a_retry_goes_on(stage: Stage) -> None:
    run = await stage.deploy("v1.4.0-rc.1")
    await stage.until(lambda: stage.world.serves("staging", "v1.4.0-rc.1"), "it serves, and is about to be observed")
    await stage.world.set_prometheus("down")
    await stage.until(lambda: " – held" in stage.state(run), "it is held", within_s=180)
    assert "Prometheus" in stage.state(run)
    assert set(stage.staging_images().values()) == {"v1.4.0-rc.1"}
    await stage.world.set_prometheus("up")
    await stage.command(ADA, f"retry {run}")
    await stage.decide_go(run)


async def test_while_slack_is_down_the_work_goes_on_and_every_message_comes_once_afterwards(stage: Stage) -> None:
    run = await stage.deploy("v1.4.0-rc.2")
    await stage.until(lambda: "v1.4.0-rc.2" in stage.staging_images().values(), "the first image is changed")
    stage.world.slack.go_down()
    await stage.until_at(run, "Staging promotion gate")
    stage.world.slack.come_back()
    assert set(stage.staging_images().values()) == {"v1.4.0-rc.2"}
    await stage.decide_go(run)
    assert "got its go" in stage.thread(run)
    assert doubled(stage) == {}
    for step in (
        "Deploy catalog: passed",
        "Deploy web: passed",
        "Smoke tests: passed",
        "Staging promotion gate: passed",
    ):
        assert stage.thread(run).count(step) == 1


async def test_a_hanging_cluster_stops_a_deployment_before_its_first_effect_and_says_so(stage: Stage) -> None:
    before = stage.staging_images()
    stage.world.set_kubernetes("hanging")
    seen, known = len(stage.ephemerals(ADA)), stage.actors.runs()
    await stage.command(ADA, "deploy staging v1.4.0-rc.1")

    def told() -> bool:
        states = [stage.state(run) for run in stage.actors.runs() if run not in known]
        return "ubernetes" in "".join((*stage.ephemerals(ADA)[seen:], *states))

    await stage.until(told, "somebody is told", within_s=180)
    assert stage.staging_images() == before


async def test_under_slacks_rate_limits_every_message_arrives_once(stage: Stage) -> None:
    stage.world.slack.rate_limits = True
    run = await stage.deploy("v1.4.0-rc.3")
    await stage.decide_go(run)
    assert "got its go" in stage.thread(run)
    assert doubled(stage) == {}
