"""A rollback's point-in-time choice under the whole bot: production's real database is recovered to the moment before the migration."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from sandbox.world import short
from sandbox.world.staff import DAN, DORA
from tests.whole.releasing import BEFORE, PROD, assert_stable_has_everything, began, promote, prove
from tests.whole.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANDIDATE, FINAL = "v1.4.0-rc.4", "v1.4.4"
"""They bring a migration that the version before can't be expected to work with."""

RESTORE = "choose:rollback_restore"
ORDERS = "SELECT count(*), sum(total), max(id) FROM orders WHERE placed_at <= %s"


@pytest_asyncio.fixture(loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    """Production has a base backup, WAL, and a drill: its gate passes."""
    tempo = short(
        observation="5s",
        guards_for="2s",
        validates=(),
        wal_switch="2s",
        phase="90s",
        phase_max="120s",
        weights=(25, 100),
    )
    async with Stage(tempo=tempo) as stage:
        await _completed(stage, await began(stage, f"backup run {PROD} --kind base", DORA))
        drill = await began(stage, f"backup drill {PROD}", DAN)
        await _signed_off(stage, drill, "Sign off the drill")
        await _completed(stage, drill)
        await prove(stage, CANDIDATE)
        yield stage


async def _completed(stage: Stage, run: str) -> None:
    sentence = await stage.until_ended(run)
    assert " – completed" in sentence, f"{sentence}\n{stage.thread(run)}"


async def _signed_off(stage: Stage, run: str, title: str) -> None:
    await stage.until(lambda: stage.asks(run, title), f"{run} asks for a sign-off", within_s=180)
    await stage.press(DORA, "signoff", run, title=title)


async def rows(stage: Stage, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    def ask() -> list[tuple[Any, ...]]:
        with psycopg.connect(stage.world.database.url(PROD)) as session:
            return session.execute(statement.encode(), values or None).fetchall()

    return await asyncio.to_thread(ask)


async def test_the_database_owner_takes_point_in_time_recovery_and_customers_orders_before_the_release_are_all_there(
    stage: Stage,
) -> None:
    run = await promote(stage, FINAL)
    await stage.until_at(run, "Observe 25 %", within_s=200)
    assert stage.world.database.columns(PROD, "orders")["total"] == "bigint", "the migration is applied"
    since = datetime.fromisoformat(stage.record.facts(run)["before_effects_at"])
    before = await rows(stage, ORDERS, since)
    assert before[0][0] > 300, "customers bought something before the release"

    stage.world.spoil(FINAL, "errors", env=PROD, track="canary")
    await stage.until(lambda: stage.actors.with_button(RESTORE, run), "the Database Owner is asked", within_s=180)
    card = stage.actors.text(stage.actors.with_button(RESTORE, run))  # type: ignore[arg-type]
    told = re.search(r"At stake: what was written since (\d\d:\d\d) UTC, ([^.\n]+)", card)
    assert told is not None, card
    assert told[1] == f"{since:%H:%M}"
    (after,) = (await rows(stage, "SELECT count(*) FROM orders WHERE placed_at > %s", since))[0]
    assert after > 0, "customers have bought something since, which is at stake"

    await stage.press(DORA, RESTORE, run)
    await _signed_off(stage, run, "Sign off what was restored")
    await stage.until(lambda: stage.world.serves(PROD, BEFORE), "the application has returned before the database")
    sentence = await stage.until_ended(run)
    assert " – returned" in sentence, f"{sentence}\n{stage.thread(run)}"
    assert_stable_has_everything(stage)

    assert stage.world.database.columns(PROD, "orders")["total"] == "integer", "the schema is the previous version's"
    assert await rows(stage, ORDERS, since) == before
    names = {name for (name,) in await rows(stage, "SELECT datname FROM pg_database")}
    kept = f"{PROD}_before_forge-{run}"
    assert kept in names, "what was written since is kept beside"
    (lost,) = (await rows(stage, "SELECT min(placed_at) FROM orders WHERE placed_at > %s", since))[0]
    checked = datetime.fromisoformat(stage.record.facts(run)["restore_checks"]["at"])
    assert lost is None or lost > checked, "nothing of the time between is there"
