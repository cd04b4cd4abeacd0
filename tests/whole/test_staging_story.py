"""A candidate's way through staging, from the typed command to the decision, with the whole bot and real protocols."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.world.staff import ADA, PIA
from tests.whole.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = [
    "Release candidate",
    "CI green",
    "Workloads deployable",
    "Deploy to staging",
    "Remember the images that run now",
    "Expand migration add-discounts",
    "Verify the data",
    "Deploy catalog",
    "Deploy web",
    "Smoke tests",
    "Observe key metrics and health",
    "Staging promotion gate",
    "Go or no-go",
    "Record the result",
    "Announce the result",
]
LINE = re.compile(r"^\d+\. :white_check_mark: (.+?) – _", re.MULTILINE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    """With a production beside it, which nothing of this may touch."""
    async with Stage() as stage:
        yield stage


async def test_a_candidate_runs_every_step_of_the_staging_procedure_in_order_and_gets_its_go(stage: Stage) -> None:
    stage.watch_images()
    run = await stage.deploy("v1.4.0-rc.2")
    assert "completed. v1.4.0-rc.2 is on staging" in await stage.decide_go(run)
    assert LINE.findall(stage.headline(run)) == STEPS
    assert stage.image_changes() == [("catalog", "v1.4.0-rc.2"), ("web", "v1.4.0-rc.2")]
    assert stage.world.serves("staging", "v1.4.0-rc.2")
    assert set(stage.world.images("prod").values()) == {"v1.3.0"}
    await stage.until(lambda: "got its go" in stage.thread(run), "the go is announced")
    for words in (
        "error rate over the observation",
        "health acceptance",
        "rollout of catalog",
        "is signed by releases@",
    ):
        assert words in stage.thread(run)


async def test_the_headline_is_one_message_and_the_details_are_in_its_thread(stage: Stage) -> None:
    run = await stage.deploy("v1.4.0-rc.2", approve=False)
    await stage.until(lambda: stage.asks(run), "it asks for its approval")
    tops = [message for message in stage.world.slack.messages("C0RELEASES") if message.text.startswith(run)]
    assert len(tops) == 1
    await stage.press(ADA, "cancel", run)
    assert "cancelled" in await stage.until_ended(run)


async def test_a_rejected_go_returns_staging_with_the_reason(stage: Stage) -> None:
    before = stage.staging_images()
    run = await stage.deploy("v1.4.0-rc.1")
    await stage.until(lambda: stage.asks(run, "Go or no-go"), "the go is asked for", within_s=300)
    assert set(stage.staging_images().values()) == {"v1.4.0-rc.1"}
    await stage.actors.reject(PIA, "the tongs are too dear", run, title="Go or no-go")
    assert "the tongs are too dear" in await stage.until_ended(run)
    assert " – returned" in stage.state(run)
    assert stage.staging_images() == before


async def test_an_abort_during_the_observation_returns_staging(stage: Stage) -> None:
    before = stage.staging_images()
    run = await stage.deploy("v1.4.0-rc.1")
    await stage.until_at(run, "Observe key metrics and health")
    await stage.command(ADA, f'abort {run} --reason "the wrong one"')
    assert "the wrong one" in await stage.until_ended(run)
    assert " – returned" in stage.state(run)
    assert stage.staging_images() == before


async def test_the_requester_fills_no_slot(stage: Stage) -> None:
    run = await stage.deploy("v1.4.0-rc.1", approve=False)
    await stage.until(lambda: stage.asks(run), "it asks for its approval")
    seen = len(stage.ephemerals(ADA))
    await stage.command(ADA, f"approve {run}")
    await stage.until_told(ADA, "you asked for this run", since=seen)
    assert stage.asks(run, "Deploy to staging")
