"""The runbook from its first line on: what is merged goes to dev by itself, becomes a candidate, proves itself in staging, and is released."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sandbox.world import short
from sandbox.world.development import VALIDATED, Development
from sandbox.world.staff import ADA
from sandbox.world.tags import REPOSITORY
from tests.whole.releasing import promote, prove
from tests.whole.stage import Stage

TEMPO = short(
    observation="5s", guards_for="5s", validates=(), database=False, phase="5s", watch="8s", weights=(25, 100), dev="required"
)  # fmt: skip


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Stage(tempo=TEMPO, environments=("dev", "staging", "prod")) as stage:
        yield stage


async def deployed(stage: Stage, commit: str) -> str:
    """Waits until a run of dev for this commit is complete; returns it."""

    def found() -> str:
        runs = [run for run in stage.actors.runs() if run.startswith("dev-") and commit[:12] in stage.headline(run)]
        return runs[0] if runs else ""

    run = str(await stage.until(found, f"{commit[:12]} is deployed to dev", within_s=180))
    assert " – completed" in await stage.until_ended(run), stage.headline(run)
    return run


def developers(stage: Stage) -> Development:
    assert stage.world.development is not None
    return stage.world.development


async def test_a_merged_pull_request_goes_through_dev_and_staging_to_production(stage: Stage) -> None:
    development, world = developers(stage), stage.world
    await deployed(stage, development.tip)

    number, title = development.waiting
    commit = development.merge()
    run = await deployed(stage, commit)
    await stage.until(lambda: world.serves("dev", commit[:12]), "dev serves it")
    assert f"#{number} {title}" in stage.thread(run), "what it brings is told"
    assert development.validated == commit

    def taken() -> set[str]:
        return {each.event for each in world.github.hooks.deliveries if each.status_code == 202}

    await stage.until(lambda: {"push", "check_suite"} <= taken(), "GitHub's webhooks have told of it")
    notes = [each for each in world.github.repositories[REPOSITORY].releases if each.draft]
    assert any(commit[:12] in each.body for each in notes), f"no draft tells of {commit[:12]} ({VALIDATED})"

    await stage.command(ADA, "plan staging")
    await stage.until_told(ADA, f"git tag -s v1.6.0-rc.1 {commit}", since=0)
    candidate = development.tag_candidate()
    await prove(stage, candidate)
    await stage.until(lambda: world.serves("staging", commit[:12]), "staging serves it")

    development.tag_final()
    released = await promote(stage, "v1.6.0")
    assert " – completed" in await stage.until_ended(released, within_s=300), stage.headline(released)
    await stage.until(lambda: world.serves("prod", commit[:12]), "production serves it")
