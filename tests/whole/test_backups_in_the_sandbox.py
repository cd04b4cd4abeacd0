"""The sandbox's databases under the whole bot: backed up, drilled, a table dropped, and a moment before it restored and led to by a real Job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from sandbox.serving import until
from sandbox.world import Controls, short
from sandbox.world.staff import ADA, DAN, DORA
from tests.whole.releasing import FINAL, PROD, began, end_incidents, prove
from tests.whole.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

STAGING = "staging"
PLACED = "SELECT count(*), coalesce(sum(total), 0) FROM orders WHERE placed_at <= %s"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    tempo = short(observation="5s", guards_for="2s", validates=(), wal_switch="2s")
    async with Stage(tempo=tempo) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(shared_stage: Stage) -> Stage:
    """As the test before left it: no run is under way, and its incident stays open until somebody resolves it."""
    return shared_stage


async def rows(stage: Stage, env: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    def ask() -> list[tuple[Any, ...]]:
        with psycopg.connect(stage.world.database.url(env)) as session:
            return session.execute(statement.encode(), values or None).fetchall()

    return await asyncio.to_thread(ask)


async def done(stage: Stage, text: str) -> str:
    """Dora types it, and it completes; returns the run."""
    run = await began(stage, text, DORA)
    sentence = await stage.until_ended(run)
    assert " – completed" in sentence, f"{sentence}\n{stage.thread(run)}"
    return run


async def sign_off(stage: Stage, user: str, run: str) -> str:
    """Waits until it is asked for, clicks, and waits for the end; returns the run's one sentence."""
    await stage.until(lambda: stage.actors.with_button("signoff", run), f"{run} asks for a sign-off", within_s=180)
    await stage.press(user, "signoff", run)
    sentence = await stage.until_ended(run)
    assert " – completed" in sentence, f"{sentence}\n{stage.headline(run)}"
    return sentence


async def drilled(stage: Stage, env: str) -> str:
    """Dan asks for a drill, and Dora signs it off; returns the run."""
    run = await began(stage, f"backup drill {env}", DAN)
    await sign_off(stage, DORA, run)
    return run


async def settled(stage: Stage, env: str) -> datetime:
    """A whole second after the last order, with none since."""
    stage.world.traffic[env].requests_per_s = 0
    last = datetime.now(UTC)

    async def is_quiet() -> bool:
        nonlocal last
        newest: datetime = (await rows(stage, env, "SELECT max(placed_at) FROM orders"))[0][0]
        last = max(last, newest)
        return datetime.now(UTC) - last > timedelta(seconds=2.5)

    await until(is_quiet, 90, "no more orders come", every_s=0.2)
    return datetime.fromtimestamp(int(last.timestamp()) + 1, UTC)


async def restored(stage: Stage, env: str, moment: datetime) -> str:
    """Dora asks for that moment until it is archived; returns the run."""
    before = set(stage.actors.runs())

    def begun() -> list[str]:
        return [run for run in stage.actors.runs(env, "restore") if run not in before]

    async def begins() -> bool:
        told = len(stage.ephemerals(DORA))  # every run before has ended, so that whatever was to be said of it is told
        await stage.command(DORA, f'restore {env} --at {moment:%Y-%m-%dT%H:%M:%SZ} --reason "the orders are gone"')
        await stage.until(lambda: begun() or stage.ephemerals(DORA)[told:], "an answer to the command")
        return bool(begun())

    await until(begins, 150, f"{env} can be restored to {moment}", every_s=1.0)
    return begun()[0]


async def test_a_dropped_table_of_staging_is_back_after_a_restore_to_the_moment_before(stage: Stage) -> None:
    controls = Controls(stage.world)
    await done(stage, f"backup run {STAGING}")
    await done(stage, f"backup run {STAGING} --kind base")
    drill = await drilled(stage, STAGING)
    assert "restore drill" in stage.headline(drill)
    assert (await rows(stage, STAGING, "SELECT count(*) FROM orders"))[0][0] > 300, "customers' orders are rows"

    moment = await settled(stage, STAGING)
    whole = await rows(stage, STAGING, PLACED, moment)
    said = await controls._use(f"drop {STAGING}", None)
    assert "is dropped" in said
    assert "no table" in await controls._use(f"count {STAGING}", None)
    stage.world.traffic[STAGING].requests_per_s = 25
    run = await restored(stage, STAGING, moment)
    await sign_off(stage, DAN, run)
    assert await rows(stage, STAGING, PLACED, moment) == whole

    async def sells() -> bool:
        return bool((await rows(stage, STAGING, "SELECT count(*) FROM orders WHERE placed_at > %s", moment))[0][0] > 20)

    await until(sells, 90, "customers order again")
    names = {name for (name,) in await rows(stage, PROD, "SELECT datname FROM pg_database")}
    assert any(name.startswith(f"{STAGING}_before_") for name in names), names
    assert f"{STAGING}_restored" not in names
    await done(stage, f"backup run {STAGING}")


async def test_production_takes_two_database_owners_and_its_gate_passes_on_a_backup_and_a_drill(stage: Stage) -> None:
    await done(stage, f"backup run {PROD} --kind base")
    moment = await settled(stage, PROD)
    whole = await rows(stage, PROD, PLACED, moment)
    await asyncio.to_thread(stage.world.database.execute, PROD, "DELETE FROM orders")
    run = await restored(stage, PROD, moment)
    await stage.approve(DAN, run, title="Restore the database")
    await sign_off(stage, DAN, run)
    assert await rows(stage, PROD, PLACED, moment) == whole
    stage.world.traffic[PROD].requests_per_s = 40

    await done(stage, f"backup run {PROD}")
    await drilled(stage, PROD)
    await prove(stage)
    await end_incidents(stage)  # the restore declared one, which holds releases up
    run = await began(stage, f"promote {FINAL} {PROD}")
    await stage.until(
        lambda: " – waiting" in stage.state(run) or " – held" in stage.state(run), "it waits", within_s=180
    )
    gate = stage.verdicts(run)
    assert stage.asks(run, "Ship to production"), "\n".join(gate.values())
    assert gate["backup"].startswith(":white_check_mark:"), gate
    await stage.command(ADA, f"cancel {run}")
    await stage.until_ended(run)
