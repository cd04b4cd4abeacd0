"""Backups and drills in a real process, with real servers: SIGKILL at every boundary, and in the middle of what takes long."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.backups import BackupState
from sandbox.world.staff import DAN, DORA
from tests.kills.backup_town import BASE, RUN, RUN_DRILL, backup_town

pytestmark = pytest.mark.timeout(1800)


async def test_sigkills_all_along_backups_leave_one_of_each_and_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with backup_town(tmp_path / "boundaries", monkeypatch) as t:
        old = [await t.done(RUN)]
        await t.age()
        t.deadly("backup")
        backup = await t.done(RUN)
        t.assert_died_at(
            "backup",
            "pg_dump has begun",
            "pg_dump has ended",
            "upload dump",
            "create manifest.json",
            "before backup.published",
        )
        t.deadly("base", every=2, since="Make the physical base backup")
        base = await t.done(BASE)
        t.assert_died_at(
            "base", "pg_basebackup has begun", "pg_verifybackup has begun", "upload base", "before backup.published"
        )
        t.immortal()
        old += [await t.done(RUN), await t.done(RUN), backup]
        await t.age()
        t.deadly("retention", since="retention.planned")
        last = await t.done(RUN)
        t.assert_died_at("retention", "remove manifest.json", "remove dump", "before backup.deleted")
        await t.at_rest()
        assert t.deaths >= 70
        for run in (backup, base, last):
            t.assert_one_backup(run)
        assert {row.run for row in t.kept()} == {base, last}
        t.assert_whole()


async def test_sigkills_all_along_a_drill_leave_one_record_and_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with backup_town(tmp_path / "boundaries", monkeypatch) as t:
        made = await t.done(RUN)
        t.deadly("drill")
        run = await t.begun(RUN_DRILL, DAN)
        assert await t.signed_off(run, DORA) == "completed"
        t.assert_died_at(
             "drill", "range dump", "initdb has begun", "postgres has begun", "pg_restore has begun", "pg_restore has ended",
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
