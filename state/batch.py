"""One transaction of the writer: several changes, each of its own effect, in one commit.

A change that raises loses only its own rows. When the disk is full the ballast is given up and the statements of this transaction are
sent once more: the changes themselves are never run twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Executable, Row, bindparam, select, update
from sqlalchemy.exc import DBAPIError

from runbook.errors import StoreUnavailable
from state.database import Database
from state.ledger import Parameters, SqlLedger
from state.schema import meta

T = TypeVar("T")

_MARK: Final = update(meta).where(meta.c.name == "last_batch").values(value=bindparam("batch"))
_MARKED: Final = select(meta.c.value).where(meta.c.name == "last_batch")


class Doubt(Exception):
    """COMMIT was sent and failed so that it may have been kept: only the database itself can tell, by the batch's mark."""

    def __init__(self, fault: StoreUnavailable) -> None:
        super().__init__(str(fault))
        self.fault = fault


def last_mark(connection: Connection) -> str:
    """The name of the newest batch that was kept."""
    return str(connection.execute(_MARKED).scalar_one())


class Batch:
    """A transaction on the writer's connection. mark: a name that no other batch has. make_room: frees the ballast, once.

    After any StoreUnavailable it is over and must be rolled back.
    """

    def __init__(self, database: Database, connection: Connection, mark: str, make_room: Callable[[], bool]) -> None:
        self._database = database
        self._connection = connection
        self.mark = mark
        self._make_room = make_room
        self._sent: list[tuple[Executable, Parameters | None]] = []
        self._kept = 0
        self.fault: StoreUnavailable | None = None
        self.ledger = SqlLedger(self)

    @property
    def dialect(self) -> str:
        return self._connection.dialect.name

    @property
    def empty(self) -> bool:
        return not self._sent

    def begin(self) -> None:
        self._send(self._database.begin)

    def run(self, change: Callable[[SqlLedger], T]) -> T:
        """The change's result; what it raises is raised, after its own rows are undone. `fault` says whether the whole batch is lost."""
        self._send("SAVEPOINT change")
        self._kept = len(self._sent)
        try:
            result = change(self.ledger)
        except BaseException:
            self._undo()
            raise
        if self.fault is not None:  # the change caught it: nobody may take that for success
            raise self.fault
        try:
            self._send("RELEASE SAVEPOINT change")
        except DBAPIError:
            # PostgreSQL: a failed statement that the change caught has spoilt its transaction.
            self._undo()
            raise
        self._kept = len(self._sent)
        return result

    def _undo(self) -> None:
        del self._sent[self._kept :]
        if self.fault is not None:
            return
        if not self._database.in_transaction(self._connection):
            self.fault = StoreUnavailable("io", "the database ended the transaction by itself")
            return
        self._send("ROLLBACK TO SAVEPOINT change")
        self._send("RELEASE SAVEPOINT change")

    def rows(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Row[Any]]:
        return self._guarded(lambda: self._connection.execute(statement, parameters).all())

    def change(self, statement: Executable, parameters: Parameters | None = None) -> tuple[Sequence[Row[Any]], int]:
        done = self._guarded(lambda: self._change(statement, parameters))
        self._sent.append((statement, parameters))
        return done

    def _change(self, statement: Executable, parameters: Parameters | None) -> tuple[Sequence[Row[Any]], int]:
        result = self._connection.execute(statement, parameters)
        return (result.all() if result.returns_rows else ()), result.rowcount

    def commit(self) -> None:
        """Raises StoreUnavailable when nothing was kept, Doubt when that can't be known from here."""
        try:
            self._commit()
        except DBAPIError as error:
            fault = self._fault(error)
            if fault.code == "store.locked":
                raise fault from error
            if fault.code != "store.disk_full":
                raise Doubt(fault) from error
            # A full disk stops SQLite before the point of no return, and it has rolled back.
            if not self._helps(fault):
                raise fault from error
            self.resend(self._connection)

    def resend(self, connection: Connection) -> None:
        """Commits on this connection what was sent before; only when it is certain that nothing was kept. Raises like `commit`."""
        self._connection = connection
        self._again()
        try:
            self._commit()
        except DBAPIError as error:
            raise Doubt(self._fault(error)) from error

    def _commit(self) -> None:
        self._connection.execute(_MARK, {"batch": self.mark})
        self._connection.exec_driver_sql("COMMIT")

    def roll_back(self) -> bool:
        """Whether the connection is as good as before."""
        try:
            if self._database.in_transaction(self._connection):
                self._connection.exec_driver_sql("ROLLBACK")
        except DBAPIError:
            return False
        return True

    def _send(self, sql: str) -> None:
        self._guarded(lambda: self._connection.exec_driver_sql(sql))

    def _guarded(self, work: Callable[[], T]) -> T:
        """Does the work; where the disk is full, once more after room was made. Raises StoreUnavailable, and remembers it."""
        if self.fault is not None:
            raise self.fault
        try:
            return work()
        except DBAPIError as error:
            fault = self._database.fault(error)
            if fault is None:
                raise
            if not self._helps(fault):
                self.fault = fault
                raise fault from error
        self._again()
        try:
            return work()
        except DBAPIError as error:
            self.fault = self._fault(error)
            raise self.fault from error

    def _helps(self, fault: StoreUnavailable) -> bool:
        """Whether room was made against this fault; a quota that is used up shows as an I/O error."""
        return self._database.uses_local_disk and fault.code in ("store.disk_full", "store.io") and self._make_room()

    def _again(self) -> None:
        """Begins anew and sends what was sent: one writer and the same rows, so every answer is the one that was given already."""
        try:
            if self._database.in_transaction(self._connection):
                self._connection.exec_driver_sql("ROLLBACK")
            self._connection.exec_driver_sql(self._database.begin)
            for position, (statement, parameters) in enumerate(self._sent):
                if position == self._kept:
                    self._connection.exec_driver_sql("SAVEPOINT change")
                self._change(statement, parameters)
            if self._kept == len(self._sent):
                self._connection.exec_driver_sql("SAVEPOINT change")
        except DBAPIError as error:
            self.fault = self._fault(error)
            raise self.fault from error

    def _fault(self, error: DBAPIError) -> StoreUnavailable:
        return self._database.fault(error) or StoreUnavailable("io", "the database refused the transaction")
