"""The bot is killed in the middle of a run, in a real process: it ends the same, each effect once, no message twice."""

from __future__ import annotations

from collections import Counter

import pytest

from sandbox.world.staff import ADA, RELEASES, SAM
from tests.whole.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


def doubled(stage: Stage) -> dict[str, int]:
    """Ids of messages that were posted more than once."""
    messages = stage.world.slack.workspace.messages[RELEASES]
    ids = Counter(
        message.metadata["event_payload"]["id"]
        for message in messages
        if message.metadata and not message.ephemeral_for
    )
    return {name: count for name, count in ids.items() if count > 1}


async def test_a_bot_killed_while_it_deploys_goes_on_and_changes_every_image_once(stage: Stage) -> None:
    stage.watch_images()
    run = await stage.deploy("v1.4.0-rc.2")
    await stage.until(stage.image_changes, "the first image is changed")
    await stage.kill_bot()
    await stage.start_bot()
    await stage.decide_go(run)
    assert stage.image_changes() == [("catalog", "v1.4.0-rc.2"), ("web", "v1.4.0-rc.2")]
    assert doubled(stage) == {}


async def test_a_bot_killed_while_it_observes_goes_on_and_gets_the_go(stage: Stage) -> None:
    run = await stage.deploy("v1.4.0-rc.1")
    await stage.until_at(run, "Observe key metrics and health")
    await stage.kill_bot()
    await stage.start_bot()
    await stage.decide_go(run)
    assert set(stage.staging_images().values()) == {"v1.4.0-rc.1"}
    assert doubled(stage) == {}


async def test_a_bot_killed_while_an_approval_waits_takes_the_click_after_its_restart(stage: Stage) -> None:
    run = await stage.deploy("v1.4.0-rc.2", approve=False)
    await stage.until(lambda: stage.actors.with_button("approve", run), "the card is there")
    await stage.kill_bot()
    lost = await stage.click(SAM, "approve", run)
    assert lost.outcome == "dispatch_failed"
    await stage.start_bot()
    await stage.approve(SAM, run, title="Deploy to staging")
    await stage.until(lambda: "v1.4.0-rc.2" in stage.staging_images().values(), "the first image is changed")
    await stage.command(ADA, f"abort {run} --reason enough")
    assert " – returned" in await stage.until_ended(run)
    assert doubled(stage) == {}


async def test_a_bad_version_is_returned_though_the_bot_was_down_when_it_went_wrong(stage: Stage) -> None:
    before = stage.staging_images()
    run = await stage.deploy("v1.4.0-rc.3")
    await stage.until_at(run, "Observe key metrics and health")
    await stage.kill_bot()
    stage.world.spoil("v1.4.0-rc.3", "errors")
    await stage.start_bot()
    assert " – returned" in await stage.until_ended(run)
    # a guard, a journey or the gate, whichever looks first after the restart
    said = stage.state(run) + stage.thread(run)
    assert "error rate" in said or "requests failed" in said, said
    assert stage.staging_images() == before
