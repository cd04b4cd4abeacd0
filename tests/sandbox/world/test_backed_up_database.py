"""The sandbox's database with backups, without a bot: orders are rows, and the Job of a restore leads the shop to another database."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sandbox.shop import OrderLost
from sandbox.world.backups import Backups
from sandbox.world.database import BACKUP_USER, ShopDatabase
from sandbox.world.kept import Kept
from sandbox.world.orders import OrderBook

ENV, NAME = "staging", "forge-staging-7"


@pytest.fixture(scope="module")
def server() -> Iterator[ShopDatabase]:
    database = ShopDatabase((ENV,), {}, backed_up=True)
    database.start()
    yield database
    database.stop()


@pytest.fixture
def database(server: ShopDatabase) -> ShopDatabase:
    """As it began."""
    server.reset(ENV)
    return server


def names(database: ShopDatabase) -> set[str]:
    with psycopg.connect(database.url("postgres")) as session:
        return {str(name) for (name,) in session.execute("SELECT datname FROM pg_database").fetchall()}


def switch(database: ShopDatabase, folder: Path, *, restored: str = "brought_back") -> subprocess.CompletedProcess[str]:
    """The Job as forge starts it; what was restored is another database of the same server."""
    place = folder / NAME
    place.mkdir(exist_ok=True)
    words = psycopg.conninfo.conninfo_to_dict(database.url(restored))
    words.pop("dbname")
    (place / "service.conf").write_text(
        "\n".join(("[forge]", *(f"{word}={value}" for word, value in words.items()), ""))
    )
    told = {"FORGE_RESTORE_NAME": NAME, "FORGE_RESTORE_DATABASE": restored, "SHOP_RESTORES": str(folder)}
    own = {"PGHOST": words["host"], "PGPORT": words["port"], "PGUSER": words["user"], "PGPASSWORD": words["password"]}
    surroundings = {**os.environ, **told, "PGDATABASE": ENV, **{word: str(value) for word, value in own.items()}}
    command = [sys.executable, "-m", "sandbox.jobs", "--image", str(folder), "restore"]
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=60, check=False)


async def test_an_order_is_a_row_and_the_session_comes_again_after_it_was_ended(database: ShopDatabase) -> None:
    book = OrderBook(database.url)
    first = await book.place(ENV, 1, 2, 9800)
    await asyncio.to_thread(database.reset, ENV)
    assert await book.place(ENV, 1, 1, 4900) == first
    assert await asyncio.to_thread(database.orders, ENV) == first
    await book.close()


async def test_without_its_table_an_order_is_lost_and_it_is_said_why(database: ShopDatabase) -> None:
    book = OrderBook(database.url)
    await asyncio.to_thread(database.execute, ENV, "DROP TABLE orders")
    with pytest.raises(OrderLost, match="orders"):
        await book.place(ENV, 1, 1, 4900)
    assert await asyncio.to_thread(database.orders, ENV) is None
    await book.close()


def test_the_job_leads_the_shop_to_what_was_restored_and_does_nothing_more_the_second_time(
    database: ShopDatabase, tmp_path: Path
) -> None:
    with psycopg.connect(database.url("postgres"), autocommit=True) as session:
        session.execute("DROP DATABASE IF EXISTS brought_back")
        session.execute("CREATE DATABASE brought_back TEMPLATE shop")
    database.execute(ENV, "DROP TABLE orders")
    with psycopg.connect(database.url(ENV)) as idle:
        done = switch(database, tmp_path)
        assert done.returncode == 0, done.stderr
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    assert database.orders(ENV) == 300
    kept = f"{ENV}_before_{NAME}"
    assert kept in names(database)
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        psycopg.connect(database.url(kept))
    database.execute(ENV, "DELETE FROM orders WHERE id > 200")
    again = switch(database, tmp_path)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert database.orders(ENV) == 200


def test_a_job_that_can_not_read_what_was_restored_leaves_the_shop_where_it_is(
    database: ShopDatabase, tmp_path: Path
) -> None:
    failed = switch(database, tmp_path, restored="nowhere")
    assert failed.returncode == 1
    assert "can't be copied" in failed.stderr
    assert database.orders(ENV) == 300


def test_whoever_makes_backups_reads_everything_also_in_a_database_that_is_made_later(database: ShopDatabase) -> None:
    with psycopg.connect(database.url("postgres"), autocommit=True) as session:
        session.execute("DROP DATABASE IF EXISTS later")
        session.execute("CREATE DATABASE later")
    with psycopg.connect(database.url("later"), user=BACKUP_USER, password=database.backup_password) as session:
        session.execute("SELECT pg_switch_wal()")
    with psycopg.connect(database.url(ENV), user=BACKUP_USER, password=database.backup_password) as session:
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (300,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("DELETE FROM orders")


def test_the_scratch_folder_is_gone_when_the_world_ends(tmp_path: Path) -> None:
    backups = Backups(tmp_path, Kept.of(tmp_path).backup_identity, ("dev", "staging", "prod"))
    assert backups.environments == ("staging", "prod")
    scratch = backups.scratch
    (scratch / "restores" / "left" / "data").mkdir(parents=True)
    (scratch / "restores" / "left" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    backups.close()
    backups.close()
    assert not scratch.exists()
