"""The whole bot beside a real PostgreSQL, from the command line: a backup and its drill, a base backup, WAL and a drill to a moment in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from engine.records import BackupRow, DrillRow
from sandbox.postgres import LocalPostgres
from sandbox.serving import until
from tests.bot.bot_with_database import IDENTITY, STAGING, WORD, BotWithDatabase, bot_with_database, source

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def server() -> Iterator[LocalPostgres]:
    with source(("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO backup",)) as running:
        yield running


@pytest.fixture
async def b(server: LocalPostgres) -> AsyncIterator[BotWithDatabase]:
    async with bot_with_database(server, smoke="SELECT count(*) > 0 FROM orders", archives=True) as running:
        yield running


async def test_a_backup_is_made_and_drilled_and_one_moment_is_recovered(b: BotWithDatabase) -> None:
    await b.done("backup", "run", "staging")
    [record] = await b.rows(BackupRow)
    assert record.state == "decoded"
    listed = await b.typed("backup", "list", "staging")
    assert record.id in str(listed["view"])

    await b.done("backup", "run", "staging", "--kind", "base")
    b.execute("INSERT INTO orders (note) VALUES ('before')")
    between = await _settled()
    b.execute("DELETE FROM orders")
    await _archived_after(b, between)

    drilled = await b.started("backup", "drill", "staging")
    await b.waits(drilled, "Sign off the drill")
    [drill] = await b.rows(DrillRow)
    assert drill.passed, drill.reason
    assert drilled == drill.run

    moment = between.strftime("%Y-%m-%dT%H:%M:%SZ")
    await b.typed("cancel", drilled)
    await b.ended(drilled)
    again = await b.started("backup", "drill", "staging", "--at", moment)
    await b.waits(again, "Sign off the drill")
    last = next(row for row in await b.rows(DrillRow) if row.run == again)
    assert last.passed, last.reason
    assert last.kind == "base"  # without a row, as it is by now, the smoke statement would not be true
    text = "".join(path.read_text(errors="replace") for path in (b.folder / "data").glob("*.db*"))
    assert WORD not in text
    assert str(IDENTITY) not in text


async def _settled() -> datetime:
    """A whole second after the last commit, over at the server's clock as well."""
    start = datetime.now(UTC)

    async def is_over() -> bool:
        return int(datetime.now(UTC).timestamp()) >= int(start.timestamp()) + 2

    await until(is_over, 90, "the next whole second")
    return datetime.fromtimestamp(int(start.timestamp()) + 1, UTC)


async def _archived_after(b: BotWithDatabase, moment: datetime) -> None:
    async def reached() -> bool:
        await asyncio.to_thread(b.execute, "CREATE TABLE IF NOT EXISTS noted (n int)", "INSERT INTO noted VALUES (1)")
        window = await b.bot.backups.window("shop", STAGING)
        return window is not None and window.until > moment

    await until(reached, 90, "WAL beyond the moment in the archive")
