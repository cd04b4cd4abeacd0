"""Restores in a real process, with real servers: SIGKILL at every boundary of them, and at random all along backups, drills and restores."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from sandbox.world.staff import DAN, DORA
from tests.kills.backup_town import BASE, RUN, RUN_DRILL, STAGING, backup_town

pytestmark = pytest.mark.timeout(1800)

RANDOM_KILLS = 24


async def test_sigkills_all_along_restores_give_back_the_rows_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with backup_town(tmp_path / "boundaries", monkeypatch) as t:
        base = await t.done(BASE)
        moment = await t.settled()
        rows = await asyncio.to_thread(t.rows, moment)
        await t.done(RUN)
        restore = f'restore {STAGING} --reason "the orders are gone" '

        await asyncio.to_thread(t.world.database.execute, STAGING, "DELETE FROM orders WHERE id % 2 = 0")
        (row,) = [row for row in t.kept() if row.run != base]
        t.deadly("restore")
        run = await t.begun(f"{restore} --backup {row.id}")
        assert await t.signed_off(run, DAN) == "completed"
        t.assert_died_at("restore", "range dump", "pg_restore has begun", "created_at", "result", "Health endpoints")
        assert await asyncio.to_thread(t.rows, moment) == rows

        t.immortal()
        abandoned = await t.begun(f"{restore} --backup {row.id}")
        await t.asked("Sign off", abandoned)
        t.deadly("abandoned", since="run.left")
        while "Waiting for" in t.headlines(abandoned):
            await t.actors.command(DORA, f"abort {abandoned} --reason found")
            await asyncio.sleep(1)
        assert await t.ended(abandoned) == "returned"
        t.assert_died_at("abandoned", "Fence and drop what was restored")
        assert await asyncio.to_thread(t.rows, moment) == rows

        await asyncio.to_thread(t.world.database.execute, STAGING, "DELETE FROM orders")
        t.deadly("moment", every=2, since="Fetch everything")
        again = await t.recovered(moment)
        assert await t.signed_off(again, DAN) == "completed"
        t.assert_died_at("moment", "range wal/", "postgres has begun", "Restore the base backup and replay WAL")
        assert await asyncio.to_thread(t.rows, moment) == rows
        await t.at_rest(standing=(run, again))
        assert t.deaths >= 70
        assert len(t.jobs) == len({name for name, _ in t.jobs}) == 2, "one switch of each restore"
        t.assert_whole(standing=(run, again))


async def test_sigkills_at_any_moment_change_nothing_of_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(20260301)
    async with backup_town(tmp_path / "boundaries", monkeypatch, "none") as t:
        moment = await t.settled()
        rows = await asyncio.to_thread(t.rows, moment)

        killer = asyncio.create_task(t.killed_at_random(dice, RANDOM_KILLS, longest_s=2.0))
        made, drills, restores = list[str](), list[str](), list[str]()
        while not killer.done():
            made += [await t.done(RUN), await t.done(BASE)]
            drills.append(await t.begun(RUN_DRILL, DAN))
            assert await t.signed_off(drills[-1], DORA) == "completed"
            backup = next(row.id for row in t.kept() if row.run == made[-2])
            restores.append(await t.begun(f'restore {STAGING} --backup {backup} --reason "the orders are gone"'))
            assert await t.signed_off(restores[-1], DAN) == "completed"
        await killer
        await t.at_rest(standing=restores)
        for run in made:
            t.assert_one_backup(run)
        assert all(t.drill(run).passed for run in drills)
        assert await asyncio.to_thread(t.rows, moment) == rows
        t.assert_whole(standing=restores)
