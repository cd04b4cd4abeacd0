"""Backups, drills and restores in a real process, with real servers: SIGKILL at every boundary, in the middle of what takes long, and at random."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from runbook.backups import RESTORABLE, BackupState
from sandbox.world.staff import DAN, DORA
from tests.kills.backup_town import STAGING, BackupTown, backup_town

pytestmark = pytest.mark.timeout(900)

RUN, BASE, DRILL = "backup run staging", "backup run staging --kind base", "backup drill staging"
RANDOM_KILLS = 24


def assert_died_at(t: BackupTown, story: str, *boundaries: str) -> None:
    """Of a story in which every boundary is deadly: these are among them."""
    behind = t.boundaries(story)
    for each in boundaries:
        assert any(each in boundary for boundary in behind), (each, behind)


def assert_one_backup(t: BackupTown, run: str) -> None:
    """One was published, and every other attempt is on record as interrupted and is gone."""
    rows = t.made_by(run)
    (row,) = [row for row in rows if row.manifest]
    assert row.state in (*RESTORABLE, BackupState.DELETED)
    for other in rows:
        if other is not row:
            assert (other.state, other.deleted_at is not None) == (BackupState.FAILED, True)
            assert "interrupted" in other.failure


async def test_sigkills_all_along_backups_leave_one_of_each_and_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with backup_town(tmp_path / "boundaries", monkeypatch) as t:
        old = [await t.done(RUN)]
        await t.age()
        t.deadly("backup")
        backup = await t.done(RUN)
        assert_died_at(
            t,
            "backup",
            "pg_dump has begun",
            "pg_dump has ended",
            "upload dump",
            "create manifest.json",
            "before backup.published",
        )
        t.deadly("base", every=2, since="Make the physical base backup")
        base = await t.done(BASE)
        assert_died_at(
            t, "base", "pg_basebackup has begun", "pg_verifybackup has begun", "upload base", "before backup.published"
        )
        t.immortal()
        old += [await t.done(RUN), await t.done(RUN), backup]
        await t.age()
        t.deadly("retention", since="retention.planned")
        last = await t.done(RUN)
        assert_died_at(t, "retention", "remove manifest.json", "remove dump", "before backup.deleted")
        await t.at_rest()
        assert t.deaths >= 70
        for run in (backup, base, last):
            assert_one_backup(t, run)
        assert {row.run for row in t.kept()} == {base, last}
        t.assert_whole()


async def test_sigkills_all_along_a_drill_leave_one_record_and_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with backup_town(tmp_path / "boundaries", monkeypatch) as t:
        made = await t.done(RUN)
        t.deadly("drill")
        run = await t.begun(DRILL, DAN)
        assert await t.signed_off(run, DORA) == "completed"
        assert_died_at(
            t, "drill", "range dump", "initdb has begun", "postgres has begun", "pg_restore has begun", "pg_restore has ended",
            "Post-restore checks", "drill.passed", "Drop the instance", "drill.signed_off",
        )  # fmt: skip
        await t.at_rest()
        assert t.deaths >= 40
        drill = t.drill(run)
        (row,) = t.made_by(made)
        assert (drill.passed, drill.backup) == (True, row.id)
        assert drill.signed_off_by.endswith(DORA)
        assert row.state == BackupState.VERIFIED
        t.assert_whole()


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
        assert_died_at(t, "restore", "range dump", "pg_restore has begun", "created_at", "result", "Health endpoints")
        assert await asyncio.to_thread(t.rows, moment) == rows

        t.immortal()
        abandoned = await t.begun(f"{restore} --backup {row.id}")
        await t.asked("Sign off", abandoned)
        t.deadly("abandoned", since="run.left")
        while "Waiting for" in t.headlines(abandoned):
            await t.actors.command(DORA, f"abort {abandoned} --reason found")
            await asyncio.sleep(1)
        assert await t.ended(abandoned) == "returned"
        assert_died_at(t, "abandoned", "Fence and drop what was restored")
        assert await asyncio.to_thread(t.rows, moment) == rows

        await asyncio.to_thread(t.world.database.execute, STAGING, "DELETE FROM orders")
        t.deadly("moment", every=2, since="Fetch everything")
        again = await t.recovered(moment)
        assert await t.signed_off(again, DAN) == "completed"
        assert_died_at(t, "moment", "range wal/", "postgres has begun", "Restore the base backup and replay WAL")
        assert await asyncio.to_thread(t.rows, moment) == rows
        await t.at_rest()
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

        async def kill() -> None:
            while t.deaths < RANDOM_KILLS:
                await asyncio.sleep(dice.uniform(0.5, 2.5))
                t.kill()

        killer = asyncio.create_task(kill())
        made, drills, restores = list[str](), list[str](), list[str]()
        while not killer.done():
            made += [await t.done(RUN), await t.done(BASE)]
            drills.append(await t.begun(DRILL, DAN))
            assert await t.signed_off(drills[-1], DORA) == "completed"
            backup = next(row.id for row in t.kept() if row.run == made[-2])
            restores.append(await t.begun(f'restore {STAGING} --backup {backup} --reason "the orders are gone"'))
            assert await t.signed_off(restores[-1], DAN) == "completed"
        await killer
        await t.at_rest()
        for run in made:
            assert_one_backup(t, run)
        assert all(t.drill(run).passed for run in drills)
        assert await asyncio.to_thread(t.rows, moment) == rows
        t.assert_whole(standing=restores)
