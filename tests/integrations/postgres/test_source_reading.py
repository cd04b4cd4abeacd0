"""What is read of a source beside its dump: of the very same snapshot, bounded, and no backup fails for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from integrations.postgres.dump import LIMITS, dump
from integrations.postgres.source_reading import Patience
from runbook.backups import BackupKind, Made, RestoreChecks
from runbook.database_ports import RestoreOrder
from runbook.rules.comparing import looking_for
from runbook.rules.restores import judge_restored
from runbook.source_facts import SourceFacts, TableFacts
from runbook.verdicts import Outcome
from sandbox.postgres import LocalPostgres
from tests.integrations.postgres.physical import Site, asks, order_for
from tests.integrations.postgres.servers import end_all, finder, until

SCHEMA = """
CREATE TABLE written (id bigserial PRIMARY KEY, t text); INSERT INTO written (t) SELECT md5(n::text) FROM generate_series(1, 5000) n;
CREATE TABLE also_written AS SELECT * FROM written;
CREATE TABLE up AS SELECT n, 'same ' || n % 3 AS t FROM generate_series(1, 100) n;
CREATE TABLE down AS SELECT n, 'same ' || n % 3 AS t FROM generate_series(100, 1, -1) n;
CREATE TABLE twice_less AS SELECT n, t FROM up UNION ALL SELECT n, t FROM up WHERE n < 3;
CREATE TABLE altered AS TABLE up; UPDATE altered SET t = '' WHERE n = 7;
CREATE VIEW looking AS SELECT * FROM up; CREATE TABLE schema_versions (name text); INSERT INTO schema_versions VALUES ('0007');
"""
BOTH = ("public.written", "public.also_written")


@pytest.fixture(scope="module")
def source() -> Iterator[LocalPostgres]:
    with LocalPostgres() as server:
        server.create_database("shop")
        asks(server, SCHEMA)
        yield server


@pytest.fixture
async def site(source: LocalPostgres, scratch: Path) -> AsyncIterator[Site]:
    yield Site(source, scratch)
    await end_all(scratch / "scratch")


async def backed_up(site: Site, checks: RestoreChecks, patience: Patience | None = None) -> tuple[Made, SourceFacts]:
    order = replace(order_for(BackupKind.LOGICAL), checks=checks)
    limits = replace(LIMITS, source=patience or Patience())
    made = await dump(
        site.connection, finder(), site.repository, site.folder / "scratch", order, site.told.append, limits=limits
    )
    assert made.source is not None
    return made, made.source


@contextlib.contextmanager
def written_to(server: LocalPostgres) -> Iterator[None]:
    """One row into each of two tables, in one transaction, again and again."""
    over = threading.Event()

    def write() -> None:
        with psycopg.connect(server.url("shop"), autocommit=True) as session:
            while not over.is_set():
                session.execute(
                    "BEGIN; INSERT INTO written (t) VALUES ('new'); INSERT INTO also_written SELECT * FROM written WHERE id = lastval(); COMMIT"
                )

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def test_what_is_counted_is_of_the_dumps_own_snapshot(site: Site) -> None:
    """A restored dump has as many rows, with the same checksums, although somebody wrote all the time."""
    checks = RestoreChecks(schema_version="SELECT name FROM schema_versions", tables=BOTH)
    order = replace(order_for(BackupKind.LOGICAL), checks=checks)
    with written_to(site.server):
        manifest = await site.published(order, await site.database().dump(order, site.told.append))
    assert manifest.source is not None
    rows = [manifest.source.tables[table].rows for table in BOTH]
    assert rows[0] == rows[1]
    restoring, host = RestoreOrder("drill-1", manifest), site.restores()
    await host.fetch(restoring, site.told.append)
    instance = await host.provision(restoring)
    await host.restore(restoring, instance, site.told.append)
    found = await host.check(instance, looking_for(checks, manifest.source))
    verdicts = judge_restored(found, checks, major=manifest.major, source=manifest.source)
    assert [(v.code, v.reason) for v in verdicts if v.outcome is Outcome.FAIL] == []
    assert dict(found.checksums) == {table: manifest.source.tables[table].checksum for table in BOTH}


async def test_a_checksum_knows_no_order_and_counts_each_row(site: Site) -> None:
    tables = tuple(f"public.{name}" for name in ("up", "down", "twice_less", "altered"))
    _, source = await backed_up(site, RestoreChecks(tables=tables))
    up, down, twice, altered = (source.tables[table] for table in tables)
    assert up == down
    assert (up.rows, twice.rows, altered.rows) == (100, 102, 100)
    assert len({up.checksum, twice.checksum, altered.checksum}) == 3


async def test_large_tables_views_and_what_is_missing_are_told_in_words(site: Site) -> None:
    checks = RestoreChecks(tables=("public.up", "public.looking", "public.lost", "nowhere.lost"), checksum_rows=99)
    _, source = await backed_up(site, checks)
    assert dict(source.tables) == {
        "public.up": TableFacts(100, why="more than 99 rows are counted alone"),
        "public.looking": TableFacts(why="it is a view"),
        "public.lost": TableFacts(why="it is not there"),
        "nowhere.lost": TableFacts(why="it is not there"),
    }
    assert source.problems == ()


async def test_a_question_that_takes_too_long_fails_no_backup(site: Site) -> None:
    checks = RestoreChecks(schema_version="SELECT pg_sleep(600)", tables=("public.up",))
    made, source = await backed_up(site, checks, Patience(question_s=1, least_s=600))
    assert made.entries > 0
    assert source.problems == ("its schema version was not read: it took too long",)
    assert source.tables["public.up"].rows == 100


async def test_a_schema_version_that_fails_is_told(site: Site) -> None:
    _, source = await backed_up(site, RestoreChecks(schema_version="SELECT name FROM nowhere"))
    assert source.schema_version == ""
    assert 'relation "nowhere" does not exist' in source.problems[0]
    assert source.catalogue is not None


async def test_its_transaction_ends_with_the_dump(site: Site) -> None:
    checks = RestoreChecks(schema_version="SELECT pg_sleep(600)", tables=("public.up",))
    made, source = await backed_up(site, checks, Patience(question_s=600, least_s=0))
    assert made.decoded
    assert dict(source.tables) == {"public.up": TableFacts(why="the dump was over before")}
    held = "SELECT count(*) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    await until(lambda: asks(site.server, held) == [(0,)], "no transaction is open")


async def test_where_there_is_no_second_session_the_dump_is_made_alone(site: Site) -> None:
    asks(
        site.server, "CREATE ROLE lonely LOGIN PASSWORD 'word' CONNECTION LIMIT 1 IN ROLE pg_read_all_data, pg_monitor"
    )
    connection = replace(site.connection, user="lonely", password="word")
    order = replace(order_for(BackupKind.LOGICAL), checks=RestoreChecks(tables=("public.up",)))
    made = await dump(connection, finder(), site.repository, site.folder / "scratch", order, site.told.append)
    assert made.decoded
    assert made.source is not None
    assert made.source.problems == (
        "nothing was read of the source beside the dump: the dump could not share a snapshot with other sessions",
    )
    assert (made.source.catalogue, made.source.roles) == (None, None)


async def test_a_reader_that_is_no_superuser_is_enough(site: Site) -> None:
    asks(
        site.server,
        "CREATE SEQUENCE hidden; SELECT nextval('hidden'); REVOKE ALL ON up FROM PUBLIC; CREATE ROLE modest LOGIN PASSWORD 'word' IN ROLE pg_monitor",
    )
    asks(
        site.server,
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO modest; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO modest",
    )
    connection = replace(site.connection, user="modest", password="word")
    order = replace(order_for(BackupKind.LOGICAL), checks=RestoreChecks(tables=("public.up",)))
    made = await dump(connection, finder(), site.repository, site.folder / "scratch", order, site.told.append)
    assert made.source is not None
    assert made.source.sequences["public.hidden"].last == 1
    assert made.source.roles is not None
    assert "modest" in {role.name for role in made.source.roles}


async def test_a_base_backup_tells_the_schema_version_and_counts_nothing(site: Site) -> None:
    checks = RestoreChecks(schema_version="SELECT name FROM schema_versions", tables=BOTH)
    order = replace(order_for(BackupKind.BASE), checks=checks)
    made = await site.database().base_backup(order, site.told.append)
    assert made.source is not None
    assert (made.source.exact, made.source.schema_version, dict(made.source.tables)) == (False, "0007", {})
