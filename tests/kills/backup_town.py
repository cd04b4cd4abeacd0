"""A town whose databases are backed up and restored by a bot that dies, and what must be there, and what must not, afterwards."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from engine.lanes import BACKUP, BASE_BACKUP, DRILL, RESTORE
from engine.records import BackupRow, DrillRow, RunState, WalRow
from runbook.backups import RESTORABLE, BackupState
from sandbox.serving import until
from sandbox.world import World, short
from sandbox.world.acting import Actors
from sandbox.world.staff import DORA
from state.store import open_store
from tests.kills.patience import patient
from tests.kills.town import STORY_WITHIN_S, Town, product

STAGING = "staging"
TIDY_WITHIN_S = 60.0
RUN, BASE, RUN_DRILL = "backup run staging", "backup run staging --kind base", "backup drill staging"
PROCEDURE = {"backup run": BACKUP, "backup drill": DRILL, "restore": RESTORE}
OLD = timedelta(days=40)
ROWS = """
SELECT (SELECT count(*) FROM orders WHERE placed_at <= %s), (SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o WHERE placed_at <= %s),
       (SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM products p), (SELECT string_agg(s::text, ',' ORDER BY name) FROM schema_versions s)
"""
ROOM = {"restores", "s", "wal"}
"""What may be in scratch when nothing is under way."""


@dataclass
class BackupTown(Town):
    """Its bot is immortal until a story begins."""

    async def at_rest(self, standing: Sequence[str] = ()) -> None:
        """Once what the deaths left was dropped, which is done beside everything else. standing: see `assert_whole`."""
        self.immortal()
        await self.world.restart_bot()

        async def is_tidy() -> bool:
            return self._instances() == {f"forge-{run}" for run in standing} and self._left_in_scratch() == {}

        with contextlib.suppress(TimeoutError):  # `assert_whole` tells what is left
            await until(is_tidy, TIDY_WITHIN_S, "what was left is dropped", every_s=0.2)
        await super().at_rest()

    # --- people

    async def begun(self, text: str, user: str = DORA) -> str:
        """The run of this command."""
        procedure = PROCEDURE[" ".join(text.split()[:2]).removesuffix(f" {STAGING}")]
        if "--kind base" in text:
            procedure = BASE_BACKUP
        return await self.opened(user, text, lambda run: (run.environment, run.procedure) == (STAGING, procedure))

    async def done(self, text: str, user: str = DORA) -> str:
        """From the command to its good end; returns the run."""
        run = await self.begun(text, user)
        ending = await self.ended(run)
        assert ending == "completed", f"{ending}\n{self.actors.headline(run)}\n{self.actors.thread(run)}"
        return run

    async def recovered(self, moment: datetime) -> str:
        """Asked for until the WAL of that moment is archived."""
        return await self.begun(f'restore {STAGING} --at {moment:%Y-%m-%dT%H:%M:%SZ} --reason "the orders are gone"')

    async def signed_off(self, run: str, user: str) -> str:
        """Clicked until nobody is asked any more; returns the end."""

        def asked() -> bool:
            return "Waiting for" in self.headlines(run) and "Sign off" in self.headlines(run)

        async def asks_or_has_ended() -> bool:
            return asked() or self.run(run).state == RunState.ENDED

        await until(asks_or_has_ended, STORY_WITHIN_S, f"{run} asks", every_s=0.3)
        if asked():
            await self.decide(user, "Sign off", run, "Sign off", "signoff")
        return await self.ended(run)

    # --- the source

    def rows(self, until_: datetime) -> tuple[Any, ...]:
        """What the shop's tables have: orders as of a moment, since the smoke test of a restore buys something."""
        with psycopg.connect(self.world.database.url(STAGING)) as session:
            found = session.execute(ROWS, (until_, until_)).fetchone()
        assert found is not None
        return found

    async def settled(self) -> datetime:
        """A whole second after the last order, with none since."""
        last = datetime.now(UTC)

        async def is_quiet() -> bool:
            return datetime.now(UTC) - last > timedelta(seconds=1.5)

        await until(is_quiet, 20, "time passes", every_s=0.1)
        return datetime.fromtimestamp(int(last.timestamp()) + 1, UTC)

    # --- what is there

    async def age(self) -> None:
        """While the bot sleeps every backup becomes 40 days old."""
        await self.world.bot.stop()
        with contextlib.closing(open_store("", data_dir=self.world.folder)) as store:
            for row in self.records(BackupRow):
                older = replace(
                    row, started_at=row.started_at - OLD, finished_at=row.finished_at and row.finished_at - OLD
                )
                store.write_now(lambda ledger, older=older: ledger.save(older))
        await self.world.bot.start()

    def kept(self) -> list[BackupRow]:
        return [row for row in self.records(BackupRow) if row.deleted_at is None]

    def assert_whole(self, standing: Sequence[str] = ()) -> None:
        """After the bot has ended: no backup but those on record, each as it was published; nothing half-made; nobody left behind.

        standing: runs whose restored instance is meant to stand."""
        assert self.doubled() == {}
        assert self.audit_problem() == ""
        assert self.jobs_left() == []
        self._assert_repository()
        assert [row.id for row in self.records(BackupRow) if row.busy] == []
        assert self.world.backups is not None
        scratch = self.world.backups.scratch
        assert self._instances() == {f"forge-{run}" for run in standing}
        assert self._left_in_scratch() == {}
        allowed = {str((scratch / "restores" / f"forge-{run}" / "data").resolve()) for run in standing}
        assert [(p.pid, p.name()) for p, cwd in processes_of(scratch) if cwd not in allowed] == []

    def _instances(self) -> set[str]:
        assert self.world.backups is not None
        return {path.name for path in (self.world.backups.scratch / "restores").glob("*")}

    def _left_in_scratch(self) -> dict[str, list[str]]:
        """folder -> some of what is in it."""
        assert self.world.backups is not None
        there = [path for path in self.world.backups.scratch.iterdir() if path.name not in ROOM]
        return {path.name: _names_in(path)[:5] for path in there}

    def _assert_repository(self) -> None:
        assert self.world.backups is not None
        place = self.world.backups.destination
        there = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()} - {".forge-repository"}
        wanted = set()
        for row in self.kept():
            assert row.manifest, f"{row.id} is neither published nor removed: {row.state} {row.failure}"
            folder = f"{row.service}/{row.environment}/{row.id}"
            published = json.loads((place / folder / "manifest.json").read_text())["manifest"]
            assert published == row.manifest
            wanted |= {f"{folder}/{file['key']}" for file in json.loads(row.manifest)["files"]} | {
                f"{folder}/manifest.json"
            }
        for row in self.records(WalRow):
            wanted.add(f"{row.service}/{row.environment}/wal/{row.system_identifier}/{row.file['key']}")
        # A segment whose record a death prevented is stored once more; the first one goes a day later, with the retention.
        left = sorted(path for path in there - wanted if "/wal/" not in path)
        assert left == [], f"nothing that nobody has on record: {left}"
        assert sorted(wanted - there) == []

    def assert_one_backup(self, run: str) -> None:
        """One was published, and every other attempt is on record as interrupted and is gone."""
        rows = self.made_by(run)
        (row,) = [row for row in rows if row.manifest]
        assert row.state in (*RESTORABLE, BackupState.DELETED)
        for other in rows:
            if other is not row:
                assert (other.state, other.deleted_at is not None) == (BackupState.FAILED, True)
                assert "interrupted" in other.failure

    def drill(self, run: str) -> DrillRow:
        (found,) = [row for row in self.records(DrillRow) if row.run == run]
        return found

    def made_by(self, run: str) -> list[BackupRow]:
        return [row for row in self.records(BackupRow) if row.run == run]


def _names_in(folder: Path) -> list[str]:
    """None of a folder that goes meanwhile."""
    with contextlib.suppress(OSError):
        return sorted(each.name for each in folder.iterdir())
    return []


def processes_of(scratch: Path) -> Iterator[tuple[psutil.Process, str]]:
    """Whoever works in this folder or was told of it, but for the bot and its parent: (process, its working folder)."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or "tests.kills.mortal_bot" in process.cmdline():
                continue
            cwd = process.cwd()
            told = " ".join([cwd, *process.cmdline(), process.environ().get("PGSERVICEFILE", "")])
            if str(scratch) in told:
                yield process, cwd


@contextlib.asynccontextmanager
async def backup_town(
    file: Path, monkeypatch: pytest.MonkeyPatch, kinds: str = "audit,outside"
) -> AsyncIterator[BackupTown]:
    """kinds: see `mortal_bot`."""
    file.with_suffix(".story").write_text("")
    monkeypatch.setenv("MORTAL_FILE", str(file))
    monkeypatch.setenv("MORTAL_KINDS", kinds)
    tempo = patient(replace(short(validates=(), wal_switch="1s"), traffic_per_s=0.0))
    async with World(product(), tempo=tempo, with_bot=False, environments=(STAGING,)) as world:
        it = BackupTown(world, Actors(world.slack), file)
        world.cluster.on_change(it.note_jobs)
        await world.bot.start()
        await it.listens()
        yield it
