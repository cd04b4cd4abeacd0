"""The engine's store: one writer, one reader, on SQLite or PostgreSQL.

What `write` returned is on the disk. What raised StoreUnavailable was not kept, but for `store.doubtful`: there the connection was lost in
the middle of a commit and nobody can tell yet, so the state must be read again before anything is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from engine.ports import Ledger
from runbook.errors import StoreUnavailable
from state.ballast import DEFAULT_SIZE_BYTES, Ballast
from state.database import Database, database_of
from state.ledger import SqlLedger
from state.migrations import check_version, current_version, migrate
from state.reader import Reader
from state.writer import Order, Writer

T = TypeVar("T")


class SqlStore:
    """`engine.ports.Store`. Made by `open_store`; `close` writes what was submitted and gives the database free."""

    def __init__(self, database: Database, reader: Reader, writer: Writer | None) -> None:
        self._database = database
        self._reader = reader
        self._writer = writer

    @property
    def name(self) -> str:
        """The database as people may see it: without user or password."""
        return self._database.name

    async def write(self, change: Callable[[Ledger], T]) -> T:
        """The change's result once it is committed. A caller that is cancelled before the change began takes it back; later it is kept."""
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writing().submit(Order(change, waiter))
        return await waiter

    async def read(self, look: Callable[[Ledger], T]) -> T:
        return await asyncio.wrap_future(self._reader.submit(look))

    def write_now(self, change: Callable[[Ledger], T]) -> T:
        """`write` for code without an event loop; blocks."""
        waiter: Future[T] = Future()
        self._writing().submit(Order(change, waiter))
        return waiter.result()

    def read_now(self, look: Callable[[SqlLedger], T]) -> T:
        """`read` for code without an event loop; blocks."""
        return self._reader.submit(look).result()

    @property
    def healthy(self) -> bool:
        """False from a failed write until the next one that succeeds, and while the ballast is given up; the store probes by itself."""
        return self.trouble is None

    @property
    def trouble(self) -> str | None:
        """What is wrong, as a sentence for people; None when all is well."""
        if self._writer is None:
            return "the database is open for reading only"
        if self._writer.fault is not None:
            return str(self._writer.fault)
        if self._writer.ballast_lost:
            return "the disk is full: the ballast file is given up, and nothing new starts until there is room for it"
        return None

    @property
    def commits(self) -> int:
        """How many transactions were committed."""
        return 0 if self._writer is None else self._writer.commits

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader.close()
        self._database.release()

    async def aclose(self) -> None:
        await asyncio.to_thread(self.close)

    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreUnavailable("read_only", "the database is open for reading only", "Ask the running bot to do it")
        return self._writer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(
    url: str = "",
    *,
    data_dir: Path,
    read_only: bool = False,
    ballast_bytes: int = DEFAULT_SIZE_BYTES,
    probe_s: float = 2.0,
    doubt_s: float = 10.0,
    now: datetime | None = None,
) -> SqlStore:
    """Opens the database that the URL names (empty: `forge.db` in `data_dir`), bringing its schema up to date.

    read_only: takes no lock, changes nothing, works beside a running bot. probe_s: seconds between looks whether trouble has passed.
    doubt_s: how long to ask whether a commit was kept. now: what the schema's history says. Blocks.
    Raises StoreUnavailable: `in_use`, `newer_schema`, `missing`, `url`, `io`, `connection`, `corrupt`, ….
    """
    database = database_of(url, data_dir)
    if read_only:
        return _open_to_read(database)
    database.claim()
    try:
        connection = database.connect()
        try:
            _bring_up_to_date(database, connection, now)
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            ballast = Ballast(data_dir, ballast_bytes if database.uses_local_disk else 0)
            writer = Writer(database, ballast, probe_s=probe_s, doubt_s=doubt_s)
            writer.start(connection)
        except BaseException:
            connection.close()
            raise
    except DBAPIError as error:
        database.release()
        raise database.fault(error) or StoreUnavailable("io", "the database can't be opened") from error
    except BaseException:
        database.release()
        raise
    return SqlStore(database, Reader(database), writer)


def _bring_up_to_date(database: Database, connection: Connection, now: datetime | None) -> None:
    connection.exec_driver_sql(database.begin)
    try:
        migrate(connection, now)
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        if database.in_transaction(connection):
            connection.exec_driver_sql("ROLLBACK")
        raise


def _open_to_read(database: Database) -> SqlStore:
    reader = Reader(database)

    def version(ledger: Any) -> int:
        return current_version(ledger.session.connection)

    try:
        check_version(reader.submit(version).result())
    except BaseException:
        reader.close()
        database.release()
        raise
    return SqlStore(database, reader, None)
