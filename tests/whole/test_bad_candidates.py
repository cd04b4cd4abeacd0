"""Candidates that must not stay on staging, and candidates that never get there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.world import short
from sandbox.world.staff import ADA
from tests.whole.stage import STAGING_ALONE, Stage, paced

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD = "v1.4.0-rc.3"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    """The observation lasts far longer than a guard needs, so that on a slow machine too the guard speaks first; journeys are tried once."""
    tempo = short(observation="90s", guards_for="2s", validates=())
    async with Stage(tempo=paced(tempo, staging={"smoke_every": "10m"}), environments=STAGING_ALONE) as stage:
        yield stage


async def returned(stage: Stage, how: str, *, once_observed: bool = False) -> str:
    """Deploys a version that is spoilt so; returns the run's id once staging has returned, with its images and pods.

    once_observed: it goes wrong as soon as it is observed; before, a smoke test could meet it.
    """
    before = stage.staging_images()
    assert BAD not in before.values()
    if not once_observed:
        stage.world.spoil(BAD, how)
    run = await stage.deploy(BAD)
    if once_observed:
        await stage.until_at(run, "Observe key metrics and health")
        stage.world.spoil(BAD, how)
    sentence = await stage.until_ended(run)
    assert " – returned" in sentence
    assert stage.staging_images() == before
    version = next(iter(before.values()))
    await stage.until(lambda: stage.world.serves("staging", version), "the old pods serve")
    return run


async def test_a_version_that_answers_errors_is_returned_by_its_guard_with_the_rate(stage: Stage) -> None:
    run = await returned(stage, "errors", once_observed=True)
    assert "error rate was above 3 %" in stage.state(run)
    assert "forge:error_ratio:5s" in stage.thread(run) or "error rate" in stage.thread(run)


async def test_a_slow_version_is_returned_by_its_guard_with_the_latency(stage: Stage) -> None:
    run = await returned(stage, "latency")
    assert "latency" in stage.state(run)


async def test_a_crash_loop_is_named_within_the_time_and_returned(stage: Stage) -> None:
    run = await returned(stage, "crash loop")
    assert "crashes again and again" in stage.state(run)
    assert "SHOP_CATALOG_URL is not set" in stage.headline(run) + stage.thread(run)


async def test_a_version_that_never_becomes_ready_is_returned(stage: Stage) -> None:
    run = await returned(stage, "never ready")
    assert "not ready" in stage.state(run)


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("v1.4.0-rc.6", "lightweight tag"),
        ("v1.4.0-rc.7", "not signed"),
        ("v1.4.0-rc.8", "the signature of v1.4.0-rc.8 doesn't count"),
        ("v1.4.0-rc.9", "there is no tag"),
        ("v1.3.0", "release candidates only"),
    ],
)
async def test_a_candidate_that_is_not_properly_tagged_is_refused_to_the_caller_alone(
    stage: Stage, version: str, why: str
) -> None:
    runs, seen = stage.actors.runs(), len(stage.ephemerals(ADA))
    await stage.command(ADA, f"deploy staging {version}")
    await stage.until_told(ADA, why, since=seen)
    assert stage.actors.runs() == runs


async def test_a_candidate_with_red_ci_is_stopped_before_anything_has_changed(stage: Stage) -> None:
    stage.watch_images()
    run = await stage.deploy("v1.4.0-rc.5", approve=False)
    sentence = await stage.until_ended(run)
    assert "test" in sentence
    assert stage.image_changes() == []


async def test_a_moved_tag_is_refused_with_both_commits(stage: Stage) -> None:
    first = stage.world.releases.commits["v1.4.0-rc.4"]
    run = await stage.deploy("v1.4.0-rc.4", approve=False)
    await stage.until(lambda: stage.asks(run), "the candidate is seen")
    await stage.press(ADA, "cancel", run)
    await stage.until_ended(run)
    second = stage.world.releases.move_tag("v1.4.0-rc.4")
    seen = len(stage.ephemerals(ADA))
    await stage.command(ADA, "deploy staging v1.4.0-rc.4")
    told = await stage.until_told(ADA, "has moved", since=seen)
    assert first[:12] in told
    assert second[:12] in told
