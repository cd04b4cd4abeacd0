"""The one thread that reads: every look sees one committed state and can't write.

A look should be short: on SQLite it keeps the writer from committing while it lasts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Row
from sqlalchemy.exc import DBAPIError

from runbook.errors import StoreUnavailable
from state.database import Database
from state.ledger import Parameters, SqlLedger

T = TypeVar("T")


class _Look:
    """A session that only reads."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self.connection = connection

    @property
    def dialect(self) -> str:
        return self.connection.dialect.name

    def rows(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Row[Any]]:
        try:
            return self.connection.execute(statement, parameters).all()
        except DBAPIError as error:
            fault = self._database.fault(error)
            if fault is None:
                raise
            raise fault from error

    def change(self, statement: Executable, parameters: Parameters | None = None) -> tuple[Sequence[Row[Any]], int]:
        raise TypeError("a look can't write")


class Reader:
    """One connection, used by one thread; it is opened anew after it was lost."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forge-store-reader")
        self._connection: Connection | None = None

    def submit(self, look: Callable[[SqlLedger], T]) -> Future[T]:
        try:
            return self._thread.submit(self._read, look)
        except RuntimeError:
            raise StoreUnavailable(
                "closed", "the store is closed", "The bot is stopping: ask again afterwards"
            ) from None

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._drop()

    def _read(self, look: Callable[[SqlLedger], T]) -> T:
        """Runs the look; once more when the connection had died while it was idle, for reading twice does no harm."""
        fresh = self._connection is None
        try:
            return self._read_once(look)
        except StoreUnavailable as fault:
            if fresh or fault.code != "store.connection":
                raise
        return self._read_once(look)

    def _read_once(self, look: Callable[[SqlLedger], T]) -> T:
        if self._connection is None:
            self._connection = self._database.connect_reader()
        connection = self._connection
        try:
            connection.exec_driver_sql("BEGIN")
            try:
                return look(SqlLedger(_Look(self._database, connection)))
            finally:
                connection.exec_driver_sql("ROLLBACK")
        except StoreUnavailable:
            self._drop()
            raise
        except DBAPIError as error:
            self._drop()
            fault = self._database.fault(error)
            if fault is None:
                raise
            raise fault from error

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(Exception):  # it is broken: there is nobody to tell and nothing to lose
                connection.invalidate()
                connection.close()
