"""A town whose databases are backed up and restored by a bot that dies, and what must be there, and what must not, afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from engine.records import BackupRow, DrillRow, Run, RunState, WalRow
from integrations.prometheus.rules import rules_text
from sandbox.serving import until
from sandbox.world import Product, World, short
from sandbox.world.acting import Actors
from sandbox.world.staff import DORA
from state.store import open_store
from tests.kills.town import STORY_WITHIN_S, Town

STAGING = "staging"
WAITS_TO_BEGIN_S = 25.0
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

    def deadly(self, story: str, *, every: int = 1, since: str = "") -> None:
        """From now on every n-th boundary is deadly, once in this story, from the first one on that has `since` in its name."""
        self.file.with_suffix(".story").write_text(f"{story}|{every}|{since}")

    def immortal(self) -> None:
        self.file.with_suffix(".story").write_text("")

    async def at_rest(self) -> None:
        """The bot ends in good order: its last boundaries, such as a receiver's end, are deadly no more."""
        self.immortal()
        await self.world.restart_bot()
        await self.world.bot.stop()

    def boundaries(self, story: str) -> list[str]:
        """What is behind of it, deadly or not."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [line.removeprefix(f"{story}: ") for line in lines if line.startswith(f"{story}: ")]

    # --- people

    async def begun(self, text: str, user: str = DORA) -> str:
        """Typed until a run of it is on record: what the bot's death swallowed is typed again, as a person would."""
        before = set(self.actors.runs())

        def new() -> set[str]:
            return {run for run in self.actors.runs() if run.startswith(f"{STAGING}-")} - before

        while not new():
            await self.actors.command(user, text)
            with contextlib.suppress(TimeoutError):
                await self.actors.until(new, "it begins", within_s=WAITS_TO_BEGIN_S)
        return min(new())

    async def ended(self, run: str) -> str:
        """How, as it is on record: what is posted at the end of a restore is no headline."""

        async def holds() -> bool:
            return self.run(run).state == RunState.ENDED

        await until(holds, STORY_WITHIN_S, f"the end of {run}", every_s=0.3)
        return str(self.run(run).ending)

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
        while asked():
            with contextlib.suppress(LookupError, TimeoutError, OSError):
                await self.actors.click(user, "signoff", run)
            await asyncio.sleep(0.5)
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

    def records(self, kind: type[Any]) -> list[Any]:
        with contextlib.closing(open_store("", data_dir=self.world.folder, read_only=True)) as store:
            found: list[Any] = store.read_now(lambda ledger: list(ledger.find(kind)))
        return found

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
        assert {path.name for path in (scratch / "restores").glob("*")} == {f"forge-{run}" for run in standing}
        left = {
            path.name: sorted(each.name for each in path.iterdir())[:5]
            for path in scratch.iterdir()
            if path.name not in ROOM
        }
        assert left == {}, left
        allowed = {str((scratch / "restores" / f"forge-{run}" / "data").resolve()) for run in standing}
        assert [(p.pid, p.name()) for p, cwd in processes_of(scratch) if cwd not in allowed] == []

    def _assert_repository(self) -> None:
        assert self.world.backups is not None
        place = self.world.backups.destination
        there = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
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

    def drill(self, run: str) -> DrillRow:
        (found,) = [row for row in self.records(DrillRow) if row.run == run]
        return found  # type: ignore[no-any-return]

    def made_by(self, run: str) -> list[BackupRow]:
        return [row for row in self.records(BackupRow) if row.run == run]

    def run(self, run: str) -> Run:
        (found,) = [row for row in self.records(Run) if row.id == run]
        return found  # type: ignore[no-any-return]


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
    product = Product([sys.executable, "-m", "tests.kills.mortal_bot"], rules_text, [])
    tempo = replace(short(validates=(), wal_switch="1s"), traffic_per_s=0.0)
    async with World(product, tempo=tempo, with_bot=False, environments=(STAGING,)) as world:
        jobs: list[tuple[str, str]] = []

        def note(change: str, obj: dict[str, Any]) -> None:
            if obj.get("kind") == "Job" and change == "ADDED":
                jobs.append((obj["metadata"]["name"], obj["metadata"]["annotations"]["forge/job-key"]))

        world.cluster.on_change(note)
        it = BackupTown(world, Actors(world.slack), [], file, jobs)
        await world.bot.start()
        await it.actors.until(lambda: world.slack.connection_state() == "connected", "the bot listens", within_s=90)
        yield it
