"""Backups, drills and restores of one real database at once, and cancelled in their middle, in the whole bot."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import psutil
import psycopg
import pytest

from engine.records import BackupRow, DrillRow, Run
from runbook.backups import BackupState
from sandbox.postgres import LocalPostgres
from sandbox.serving import until
from tests.bot.bot_with_database import BotWithDatabase, bot_with_database, source

pytestmark = pytest.mark.timeout(600)
OLD = timedelta(days=40)


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with source() as running:
        yield running


@pytest.fixture
async def b(server: LocalPostgres) -> AsyncIterator[BotWithDatabase]:
    async with bot_with_database(server) as running:
        yield running


@contextlib.contextmanager
def locked(b: BotWithDatabase) -> Iterator[None]:
    """No dump gets beyond its beginning: somebody has locked a table."""
    with psycopg.connect(b.server.url("shop")) as session:
        session.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield
        session.rollback()


@contextlib.contextmanager
def without_checkpoints(b: BotWithDatabase) -> Iterator[None]:
    """No base backup gets beyond its beginning, which waits for a checkpoint of the server."""
    of_server = psutil.Process(b.server.pid).children()
    checkpointer = next(child for child in of_server if "checkpointer" in " ".join(child.cmdline()))
    checkpointer.suspend()
    try:
        yield
    finally:
        checkpointer.resume()


async def seen(condition: Callable[[], object], what: str) -> None:
    async def holds() -> bool:
        return bool(condition())

    await until(holds, 60, what, every_s=0.02)


async def is_read(b: BotWithDatabase, backup: str, run: str) -> None:
    async def holds() -> bool:
        return run in (await b.backups())[backup].busy

    await until(holds, 60, f"{run} reads {backup}")


async def aged(b: BotWithDatabase, count: int) -> list[str]:
    """Backups as if they had been made 40 days ago; their ids."""
    for _ in range(count):
        await b.done("backup", "run", "staging")
    rows = list((await b.backups()).values())
    for row in rows:
        assert row.finished_at is not None
        older = replace(row, started_at=row.started_at - OLD, finished_at=row.finished_at - OLD)
        await b.store.write(lambda ledger, older=older: ledger.save(older))  # type: ignore[misc]
    return [row.id for row in rows]


def places(b: BotWithDatabase) -> set[str]:
    """Folders of backups that have anything in them."""
    return {path.split("/")[2] for path in b.stored()}


async def test_of_two_who_ask_for_a_backup_at_the_same_moment_one_makes_it(b: BotWithDatabase) -> None:
    with locked(b):
        answers = await asyncio.gather(*(b.typed("backup", "run", "staging") for _ in range(2)))
        runs = [answer["run"] for answer in answers if answer["run"]]
        assert len(set(runs)) == 1, answers
        assert any("already" in str(answer) for answer in answers), answers
    run = await b.ended(runs[0])
    assert run.ending == "completed", await b.why(run)
    (row,) = await b.rows(BackupRow)
    assert len(await b.rows(Run)) == 1
    assert places(b) == {row.id}


async def test_a_drill_keeps_its_backup_from_the_retention_that_deletes_the_others(b: BotWithDatabase) -> None:
    drilled, other = await aged(b, 2)
    b.hold.touch()
    drill = await b.started("backup", "drill", "staging", "--backup", drilled)
    await is_read(b, drilled, drill)
    await b.done("backup", "run", "staging")
    found = await b.backups()
    assert found[drilled].deleted_at is None
    assert found[other].state == BackupState.DELETED
    assert places(b) == {row.id for row in found.values() if row.deleted_at is None}
    b.hold.unlink()
    await b.waits(drill, "Sign off the drill")
    (record,) = await b.rows(DrillRow)
    assert (record.passed, record.backup) == (True, drilled), record.reason
    assert (await b.backups())[drilled].busy == ""
    assert b.left() == set()


async def test_a_restore_and_a_backup_of_the_same_database_come_to_their_ends_beside_each_other(
    b: BotWithDatabase,
) -> None:
    (old,) = await aged(b, 1)
    b.hold.touch()
    restore = await b.started("restore", "staging", "--backup", old, "--reason", "orders are gone")
    await is_read(b, old, restore)
    with locked(b):
        backup = await b.started("backup", "run", "staging")
        await seen(lambda: b.programs("pg_dump"), "the dump is under way")
        b.hold.unlink()
        await b.waits(restore, "Sign off what was restored")
    run = await b.ended(backup)
    assert run.ending == "completed", await b.why(run)
    assert (await b.backups())[old].deleted_at is None, "the retention has come by while it was read"
    await b.typed("abort", restore, "--reason", "they were found")
    assert (await b.ended(restore)).ending == "returned"
    assert b.left() == set()
    assert (await b.backups())[old].busy == ""


async def test_a_cancelled_dump_leaves_neither_bytes_nor_programs(b: BotWithDatabase) -> None:
    with locked(b):
        run = await b.started("backup", "run", "staging")
        await seen(lambda: b.programs("pg_dump"), "the dump is under way")
        await b.typed("cancel", run)
        assert (await b.ended(run)).ending == "cancelled"
        await assert_discarded(b)
        assert b.programs("pg_dump") == b.programs("pg_restore") == []


async def test_a_cancelled_base_backup_leaves_neither_bytes_nor_programs(b: BotWithDatabase) -> None:
    with without_checkpoints(b):
        run = await b.started("backup", "run", "staging", "--kind", "base")
        await seen(lambda: b.programs("pg_basebackup"), "the copy is under way")
        for program in b.programs("pg_basebackup"):
            program.send_signal(signal.SIGSTOP)  # not even a program that hangs stays
        await b.typed("cancel", run)
        assert (await b.ended(run)).ending == "cancelled"
        await assert_discarded(b)
        assert b.programs("pg_basebackup") == []


async def assert_discarded(b: BotWithDatabase) -> None:
    (row,) = await b.rows(BackupRow)
    assert (row.state, row.manifest) == (BackupState.FAILED, "")
    assert "cancelled" in row.failure
    assert row.deleted_at is not None
    assert b.stored() == b.left() == set()


async def test_a_cancelled_drill_is_on_record_as_failed_and_its_server_is_gone(b: BotWithDatabase) -> None:
    await b.done("backup", "run", "staging")
    (row,) = await b.rows(BackupRow)
    b.hold.touch()
    run = await b.started("backup", "drill", "staging")
    await is_read(b, row.id, run)
    await seen(lambda: b.programs("postgres"), "its server runs")
    await b.typed("cancel", run)
    assert (await b.ended(run)).ending == "cancelled"
    (drill,) = await b.rows(DrillRow)
    assert not drill.passed
    assert "cancelled" in drill.reason
    await assert_nobody_reads(b, row.id)


async def test_an_aborted_restore_drops_its_server_in_the_middle_of_its_checks(b: BotWithDatabase) -> None:
    await b.done("backup", "run", "staging")
    (row,) = await b.rows(BackupRow)
    b.hold.touch()
    run = await b.started("restore", "staging", "--backup", row.id, "--reason", "orders are gone")
    await is_read(b, row.id, run)
    await seen(lambda: b.programs("postgres"), "its server runs")
    late = await b.typed("cancel", run)
    assert "abort" in str(late)
    await b.typed("abort", run, "--reason", "they were found")
    assert (await b.ended(run)).ending == "returned"
    await assert_nobody_reads(b, row.id)


async def assert_nobody_reads(b: BotWithDatabase, backup: str) -> None:
    assert (await b.backups())[backup].busy == ""
    assert b.left() == set()
    assert b.programs("postgres") == []
