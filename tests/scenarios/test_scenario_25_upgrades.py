"""Scenario 25 within one version; runs that an earlier version parked have tests of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from engine.records import Decision, Run
from runbook.errors import Temporary
from tests.engine.harness import KeepingChat
from tests.runbook.fakes import BUSY_ROLLOUT, GOOD_ROLLOUT, World, signed_tag
from tests.scenarios.stage import Stage, stage

Arrange = Callable[[Stage], Awaitable[None]]


async def queued(s: Stage) -> None:
    await s.says("sam", "lock staging")
    await s.says("ada", "deploy staging v1.4.0-rc.2")


async def waiting_for_approval(s: Stage) -> None:
    await s.waits_for_approval()


async def paused(s: Stage) -> None:
    await s.waits_for_approval()
    await s.says("rob", "pause staging-1")
    await s.says("sam", "approve staging-1")


async def deploying(s: Stage) -> None:
    await s.waits_for_approval()
    await s.says("sam", "approve staging-1")
    await s.until_at("Deploy worker")


async def between_two_attempts(s: Stage) -> None:
    s.world.cluster.write_errors = [Temporary("kubernetes", "timeout", "no answer within 10 s")]
    await s.waits_for_approval()
    await s.says("sam", "approve staging-1")
    await s.until(lambda: s.steps()[5].state == "pending" and s.steps()[5].deadline is not None)


async def observing(s: Stage) -> None:
    await s.waits_for_approval()
    await s.says("sam", "approve staging-1")
    await s.until_at("Observe key metrics and health")
    await s.clock.advance(20)


async def held(s: Stage) -> None:
    s.world.cluster.write_errors = [Temporary("kubernetes", "timeout", "no answer within 10 s")] * 3
    await s.waits_for_approval()
    await s.says("sam", "approve staging-1")
    await s.until_state("held")


async def waiting_for_go(s: Stage) -> None:
    await s.waits_for_go()


async def half_decided(s: Stage) -> None:
    await s.waits_for_go()
    await s.says("pia", "approve staging-1")


async def returning(s: Stage) -> None:
    await s.waits_for_go()
    await s.says("sam", 'reject staging-1 --reason "too slow"')
    await s.until_at("Return web to its previous image")


STATES: dict[str, Arrange] = {
    f.__name__: f
    for f in (
        queued, waiting_for_approval, paused, deploying, between_two_attempts, observing, held, waiting_for_go,
        half_decided, returning,
    )
}  # fmt: skip


async def people_go_on(s: Stage, name: str) -> None:
    """Whatever the run still needs of people."""
    if name == "queued":
        await s.says("ada", "unlock staging")
    if name == "paused":
        await s.says("ada", "resume staging-1")
    if name == "held":
        await s.says("ada", "retry staging-1")
    while (await s.until_state("waiting", "ended")).state != "ended":
        await decide(s)


async def decide(s: Stage) -> None:
    position = s.run().position
    for who in ("sam", "pia"):
        if s.run().state == "waiting":
            await s.says(who, "approve staging-1")
    await s.until(lambda: s.run().position != position or s.run().state == "ended")


@pytest.mark.parametrize("down", [timedelta(seconds=2), timedelta(minutes=20)], ids=["briefly down", "long down"])
@pytest.mark.parametrize("name", STATES)
async def test_the_bot_is_upgraded_while_releases_wait_in_every_state_all_of_them_go_on(
    tmp_path: Path, name: str, down: timedelta
) -> None:
    world, chat = World(), KeepingChat()
    world.cluster.rollouts = lambda since_s: GOOD_ROLLOUT if since_s > 5 else BUSY_ROLLOUT
    async with stage(tmp_path, world=world, chat=chat) as s:
        await STATES[name](s)
        before = s.run()
    await world.clock.advance(down)
    async with stage(tmp_path, world=world, chat=chat) as s:
        assert s.run().id == before.id
        await people_go_on(s, name)
        await s.shown_all()
        back = name == "returning"
        assert s.run().ending == ("returned" if back else "completed")
        assert [d.result for d in s.rows(Decision)] == ["no_go" if back else "go"]
        assert all(image.endswith("@sha256:0") is back for image in s.images().values())
        ids = [m.message_id for m in chat.messages]
        assert len(ids) == len(set(ids))


async def test_a_queue_of_releases_survives_the_upgrade_in_its_order(tmp_path: Path) -> None:
    world, chat = World(), KeepingChat()
    versions = [f"v1.4.0-rc.{n}" for n in range(1, 4)]
    world.code.tags = {v: signed_tag(v) for v in versions}
    async with stage(tmp_path, world=world, chat=chat) as s:
        for version in versions:
            await s.says("ada", f"deploy staging {version}")
        await s.until_state("waiting")
    async with stage(tmp_path, world=world, chat=chat) as s:
        for number in (1, 2, 3):
            await s.until_state("waiting", run_id=f"staging-{number}")
            assert [r.state for r in s.rows(Run, order="number")][number:] == ["queued"] * (3 - number)
            await s.says("rob", f"cancel staging-{number}")
            await s.until_state("ended", run_id=f"staging-{number}")
