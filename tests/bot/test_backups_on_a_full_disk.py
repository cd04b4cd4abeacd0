"""The disk is full, or the destination is gone, in the middle of a backup, of a fetch and of a restore: told, and nothing is left.

A full disk is played by a limit on the size of files: of this process and of the servers that it starts, not of the source.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from engine.records import BackupRow, DrillRow
from runbook.backups import RESTORABLE, BackupState
from sandbox.postgres import LocalPostgres
from sandbox.serving import until
from tests.bot.bot_with_database import STAGING, BotWithDatabase, bot_with_database, source

pytestmark = pytest.mark.timeout(600)
MEBIBYTE = 1024 * 1024
NOISE = 12 * MEBIBYTE
"""What no compression makes smaller: so large is a dump, and what is fetched of it."""

WIDE = "INSERT INTO orders (note) SELECT repeat('again ', 20) FROM generate_series(1, 150000)"
"""Some 25 MiB in a database, and next to nothing in a dump."""


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with source(("CREATE TABLE noise (bytes bytea)", "ALTER TABLE noise ALTER bytes SET STORAGE EXTERNAL")) as running:
        yield running


@pytest.fixture
async def b(server: LocalPostgres) -> AsyncIterator[BotWithDatabase]:
    async with bot_with_database(server) as running:
        yield running


@pytest.fixture
def noisy(b: BotWithDatabase) -> Iterator[None]:
    with psycopg.connect(b.server.url("shop"), autocommit=True) as session:
        session.execute("INSERT INTO noise VALUES (%s)", (os.urandom(NOISE),))
        yield
        session.execute("TRUNCATE noise")


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def assert_no_new_backup(b: BotWithDatabase, told: str, *before: BackupRow) -> None:
    rows = [row for row in await b.rows(BackupRow) if row.id not in {each.id for each in before}]
    assert rows, "each attempt is on record"
    for row in rows:
        assert (row.state, row.manifest) == (BackupState.FAILED, "")
        assert told in row.failure
        assert row.deleted_at is not None
    newest = await b.bot.backups.newest("shop", STAGING)
    assert (newest and newest.id) == (before[0].id if before else None), "what a gate is told"
    assert b.left() == set()


@pytest.mark.usefixtures("noisy")
async def test_a_destination_that_is_full_in_the_middle_of_a_dump_gives_no_backup_and_says_why(
    b: BotWithDatabase,
) -> None:
    with no_file_above(NOISE // 2):
        run = await b.ended(await b.started("backup", "run", "staging"))
    assert run.ending == "failed", await b.why(run)
    assert "the backups' folder is full" in await b.why(run)
    await assert_no_new_backup(b, "the backups' folder is full")
    assert b.stored() == set()
    assert "No backups of shop on staging are on record" in str(await b.typed("backup", "list", "staging"))
    good = await b.done("backup", "run", "staging")
    assert good.id != run.id


@pytest.mark.usefixtures("noisy")
async def test_a_scratch_folder_that_is_full_in_the_middle_of_a_fetch_fails_the_drill_and_leaves_nothing(
    b: BotWithDatabase,
) -> None:
    await b.done("backup", "run", "staging")
    with no_file_above(NOISE // 2):
        run = await b.ended(await b.started("backup", "drill", "staging"))
    assert run.ending == "failed", await b.why(run)
    await assert_drill_failed(b, "can't take what is restored")


async def test_a_scratch_folder_that_is_full_in_the_middle_of_a_restore_fails_the_drill_with_postgresqls_words(
    b: BotWithDatabase,
) -> None:
    b.execute(WIDE)
    await b.done("backup", "run", "staging")
    with no_file_above(17 * MEBIBYTE):  # a segment of WAL has 16
        run = await b.ended(await b.started("backup", "drill", "staging"))
    assert run.ending == "failed", await b.why(run)
    await assert_drill_failed(b, "File too large")
    b.execute("TRUNCATE orders", "INSERT INTO orders (note) VALUES ('first')")


async def assert_drill_failed(b: BotWithDatabase, told: str) -> None:
    (drill,) = await b.rows(DrillRow)
    assert not drill.passed
    assert told in drill.reason
    (row,) = await b.rows(BackupRow)
    assert row.state == BackupState.DECODED, "nothing has proven that it can be restored"
    newest = await b.bot.backups.newest("shop", STAGING)
    assert newest is not None
    assert (newest.drilled_at, told in newest.drill_failure) == (None, True), "what a gate is told"
    assert b.left() == set()
    assert b.programs("postgres") == []


async def test_a_destination_that_goes_away_in_the_middle_of_a_dump_gives_no_backup_and_the_one_before_stays_the_newest(
    b: BotWithDatabase,
) -> None:
    await b.done("backup", "run", "staging")
    (before,) = await b.rows(BackupRow)
    away = b.folder / "away"
    with psycopg.connect(b.server.url("shop")) as session:
        session.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        run_id = await b.started("backup", "run", "staging")

        async def dumps() -> bool:
            return bool(b.programs("pg_dump"))

        await until(dumps, 60, "the dump is under way")
        (b.folder / "kept").rename(away)
        (b.folder / "kept").mkdir()  # what is beneath the mount point of a volume
        session.rollback()
    run = await b.ended(run_id)
    assert run.ending in ("failed", "incomplete"), await b.why(run)
    assert "backups' folder" in await b.why(run)
    assert list((b.folder / "kept").rglob("*.age")) == []
    newest = await b.bot.backups.newest("shop", STAGING)
    assert newest is not None
    assert newest.id == before.id
    assert [row.id for row in await b.rows(BackupRow) if row.state in RESTORABLE and row.manifest] == [before.id]
    drill = await b.ended(await b.started("backup", "drill", "staging"))
    assert drill.ending == "failed", await b.why(drill)
    (record,) = await b.rows(DrillRow)
    assert not record.passed
    again = await b.ended(await b.started("backup", "run", "staging"))
    assert again.ending == "failed", await b.why(again)
    assert "Is its volume mounted?" in await b.why(again)
    assert list((b.folder / "kept").iterdir()) == []
    (b.folder / "kept").rmdir()
    away.rename(b.folder / "kept")
    await b.done("backup", "run", "staging")
    assert b.left() == set()
