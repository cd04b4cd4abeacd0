"""A real server's load, of three versions: what is counted, what a role may not see, and a database that is slow or away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.rows import DictRow

from integrations.postgres.connection import PostgresConnection
from integrations.postgres.look import connect
from integrations.postgres.measuring import DatabaseMeasuring
from integrations.postgres.metrics import OPTIONS, Load, read_load, slow_calls
from runbook import series
from runbook.errors import Permanent
from runbook.series import Windows, recorded
from runbook.values import Environment
from sandbox.postgres import USER, LocalPostgres

PROD = Environment.PROD


@pytest.fixture(scope="module", params=[15, 16, 18])
def server(request: pytest.FixtureRequest) -> Iterator[LocalPostgres]:
    with LocalPostgres(major=request.param, settings=("deadlock_timeout=100ms",)) as running:
        with psycopg.connect(running.url(), autocommit=True) as session:
            session.execute("CREATE ROLE reader LOGIN PASSWORD 'reader-word' IN ROLE pg_monitor")
            session.execute("CREATE ROLE nobody_much LOGIN PASSWORD 'nobody-word'")
            session.execute("CREATE TABLE things (id int PRIMARY KEY, n int)")
            session.execute("INSERT INTO things VALUES (1, 0), (2, 0)")
        yield running


def connection_to(server: LocalPostgres, user: str = "reader", password: str = "reader-word") -> PostgresConnection:
    return PostgresConnection(str(server.run), "postgres", user, password, server.port, "prefer")


@contextlib.asynccontextmanager
async def reading(
    server: LocalPostgres, user: str = "reader", word: str = "reader-word"
) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
    async with await connect(connection_to(server, user, word), OPTIONS) as session:
        yield session


async def until(truth: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not await truth():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_connections_and_the_log_on_the_disk_are_counted(server: LocalPostgres) -> None:
    async with reading(server) as session:
        before = await read_load(session)
        with psycopg.connect(server.url()), psycopg.connect(server.url()):
            during = await read_load(session)
    assert during.max_connections == 60
    assert during.connections >= before.connections + 2
    assert during.wal_bytes is not None
    assert during.wal_bytes % (16 * 1024 * 1024) == 0
    assert during.replication_lag_s == 0
    assert during.version_num // 10_000 in (15, 16, 18)


async def test_what_is_written_is_seen_in_wal_and_at_the_checkpoint(server: LocalPostgres) -> None:
    async with reading(server) as session:
        before = await read_load(session)
        with psycopg.connect(server.url(), autocommit=True) as writer:
            writer.execute("CREATE TABLE much AS SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g")
            writer.execute("CHECKPOINT")
            writer.execute("DROP TABLE much")

        async def counted() -> bool:
            after = await read_load(session)
            assert after.wal_written_bytes is not None
            assert before.wal_written_bytes is not None
            return (
                after.wal_written_bytes - before.wal_written_bytes > 2_000_000
                and after.checkpoint_s > before.checkpoint_s
            )

        await until(counted)


async def test_a_query_is_slow_after_a_second_and_one_that_waits_for_a_lock_waits(server: LocalPostgres) -> None:
    async with (
        reading(server) as session,
        await psycopg.AsyncConnection.connect(server.url()) as holder,
        await psycopg.AsyncConnection.connect(server.url()) as waiter,
    ):
        await holder.execute("UPDATE things SET n = n + 1 WHERE id = 1")
        waiting = asyncio.create_task(waiter.execute("UPDATE things SET n = n + 1 WHERE id = 1"))

        async def waits() -> bool:
            return (await read_load(session)).lock_waits == 1

        async def is_slow() -> bool:
            return (await read_load(session)).slow == 1

        await until(waits)
        await until(is_slow)
        await holder.rollback()
        await waiting
        await waiter.rollback()
        after = await read_load(session)
    assert (after.slow, after.lock_waits) == (0, 0)


async def test_a_deadlock_is_counted(server: LocalPostgres) -> None:
    async with (
        reading(server) as session,
        await psycopg.AsyncConnection.connect(server.url()) as one,
        await psycopg.AsyncConnection.connect(server.url()) as other,
    ):
        before = (await read_load(session)).deadlocks
        await one.execute("UPDATE things SET n = 1 WHERE id = 1")
        await other.execute("UPDATE things SET n = 1 WHERE id = 2")
        crossing = [
            asyncio.ensure_future(one.execute("UPDATE things SET n = 1 WHERE id = 2")),
            asyncio.ensure_future(other.execute("UPDATE things SET n = 1 WHERE id = 1")),
        ]
        done, _ = await asyncio.wait(crossing, return_when=asyncio.FIRST_EXCEPTION)
        assert any(isinstance(task.exception(), psycopg.errors.DeadlockDetected) for task in done)
        await asyncio.gather(one.rollback(), other.rollback(), *crossing, return_exceptions=True)
        # A session tells its counters once it is idle, at most once a second.
        await one.close()
        await other.close()

        async def counted() -> bool:
            return (await read_load(session)).deadlocks == before + 1

        await until(counted)


async def test_what_a_role_may_not_see_is_unknown_and_never_zero(server: LocalPostgres) -> None:
    async with reading(server, "nobody_much", "nobody-word") as session:
        load = await read_load(session)
    assert (load.slow, load.lock_waits, load.replication_lag_s, load.wal_bytes, load.statements) == (None,) * 5
    assert load.max_connections == 60
    assert load.connections > 0


async def test_the_reader_can_change_nothing(server: LocalPostgres) -> None:
    async with reading(server, USER, server.password) as session:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await session.execute("CREATE TABLE mine (id int)")


async def test_a_database_is_measured_again_and_again_and_recorded_under_the_rules_names(server: LocalPostgres) -> None:
    measuring = DatabaseMeasuring({("shop", PROD): lambda: connection_to(server)}, interval_s=0.05)
    async with running(measuring):
        await until(lambda: _has(measuring, 3))
    found = {each.labels["__name__"]: each for each in measuring.recorded("shop", PROD, Windows("5m"))}
    assert set(found) == {
        recorded(metric, "5m")
        for metric in (
            series.DB_CONNECTIONS,
            series.DB_REPLICATION_LAG,
            series.DB_DEADLOCKS,
            series.DB_SLOW_QUERIES,
            series.DB_LOCK_WAITS,
            series.DB_WAL_GROWTH,
            series.DB_CHECKPOINT,
        )
    }
    connections = found[recorded(series.DB_CONNECTIONS, "5m")]
    assert connections.labels == {
        "service": "shop",
        "env": "prod",
        "track": "stable",
        "__name__": "forge:postgres_connection_ratio:5m",
    }
    assert len(connections.samples) >= 3
    assert all(0 < sample.value < 1 for sample in connections.samples)
    assert abs((connections.samples[-1].at - datetime.now(UTC)).total_seconds()) < 30
    assert measuring.recorded("other", PROD, Windows()) == ()


async def _has(measuring: DatabaseMeasuring, moments: int) -> bool:
    found = measuring.recorded("shop", PROD, Windows())
    return bool(found) and len(found[0].samples) >= moments


@contextlib.asynccontextmanager
async def running(measuring: DatabaseMeasuring) -> AsyncIterator[None]:
    task = asyncio.create_task(measuring.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(scope="module")
def eighteen() -> Iterator[LocalPostgres]:
    with LocalPostgres(tcp=True, settings=("shared_preload_libraries=pg_stat_statements",)) as server:
        with psycopg.connect(server.url(), autocommit=True) as session:
            session.execute("CREATE ROLE reader LOGIN PASSWORD 'reader-word' IN ROLE pg_monitor")
            session.execute('CREATE SCHEMA "Odd Place"')
            session.execute('CREATE EXTENSION pg_stat_statements SCHEMA "Odd Place"')
            session.execute('GRANT USAGE ON SCHEMA "Odd Place" TO reader')
        yield server


async def test_slow_statements_that_ended_are_counted_where_the_extension_is(eighteen: LocalPostgres) -> None:
    measuring = DatabaseMeasuring({("shop", PROD): lambda: connection_to(eighteen)}, interval_s=0.1)

    async def counted(wanted: int) -> bool:
        return [moment.slow_calls for _, _, moment in measuring.latest() if moment] == [wanted]

    async with running(measuring), await psycopg.AsyncConnection.connect(eighteen.url(), autocommit=True) as client:
        await until(lambda: counted(0))
        await client.execute("SELECT pg_sleep(1.05)")
        await client.execute("SELECT 1")
        await until(lambda: counted(1))
    values = {each.labels["__name__"]: each.samples[-1].value for each in measuring.recorded("shop", PROD, Windows())}
    assert values["forge:postgres_slow_queries:1m"] >= 1


async def test_a_wrong_password_is_told_with_its_remedy_and_never_quoted(eighteen: LocalPostgres) -> None:
    measuring = DatabaseMeasuring(
        {("shop", PROD): lambda: connection_to(eighteen, password="wrong-word-7")}, interval_s=0.05
    )
    async with running(measuring):
        await until(lambda: _asked(measuring))
    [(key, answers, moment)] = measuring.latest()
    assert (key, answers, moment) == (("shop", PROD), False, None)
    problem = measuring.problem("shop", PROD)
    assert isinstance(problem, Permanent)
    assert problem.remedy
    assert "wrong-word-7" not in f"{problem} {problem!r} {problem.cause}"


async def _asked(measuring: DatabaseMeasuring) -> bool:
    return bool(list(measuring.latest()))


async def test_a_database_that_hangs_delays_no_other_and_is_not_told_of(eighteen: LocalPostgres) -> None:
    async def swallow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()
        writer.close()

    silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    hanging = PostgresConnection("127.0.0.1", "postgres", "reader", "reader-word", port, "disable")
    measuring = DatabaseMeasuring(
        {("hung", PROD): lambda: hanging, ("shop", PROD): lambda: connection_to(eighteen)},
        interval_s=0.05,
        longest_s=0.5,
    )
    async with running(measuring):
        await until(lambda: _has(measuring, 3))
        shown = {key[0]: moment for key, _, moment in measuring.latest()}
        assert shown["shop"] is not None
        assert shown.get("hung") is None

        async def is_told() -> bool:
            problem = measuring.problem("hung", PROD)
            return problem is not None and problem.code == "postgres.slow"

        await until(is_told)
    silent.close()


async def test_what_is_old_is_absent_and_comes_back_with_the_server() -> None:
    with LocalPostgres() as server:
        measuring = DatabaseMeasuring(
            {("shop", PROD): lambda: connection_to(server, USER, server.password)}, interval_s=0.2
        )

        async def shown(wanted: bool) -> bool:
            return [moment is not None for _, _, moment in measuring.latest()] == [wanted]

        async with running(measuring):
            await until(lambda: shown(True))
            await asyncio.to_thread(server.kill)
            await until(lambda: shown(False))
            assert [answers for _, answers, _ in measuring.latest()] == [False]
            await asyncio.to_thread(server.restart)
            await until(lambda: shown(True))
            assert measuring.problem("shop", PROD) is None


def test_only_calls_of_statements_with_a_slow_mean_in_between_count() -> None:
    before = {("a",): (4, 8.0), ("b",): (100, 150.0), ("d",): (5, 50.0)}
    after = {("a",): (6, 12.5), ("b",): (200, 151.0), ("c",): (2, 3.0), ("d",): (1, 2.0)}
    assert slow_calls(before, after) == 4
    assert slow_calls(None, after) is None
    assert slow_calls(before, None) is None


def test_a_load_doesnt_show_its_statements() -> None:
    load = Load(0.0, 180_006, 1, 60, 0, 0.0, statements={("secret",): (1, 2.0)})
    assert "secret" not in repr(load)
