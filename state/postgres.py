"""PostgreSQL: the database by URL, one writing process.

The advisory lock belongs to the writer's own session: whoever writes holds it, and a writer that lost its connection gets it back or
stops. (Behind a pooler that shares sessions this can't hold: forge wants a direct connection.)
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Row, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from runbook.errors import StoreUnavailable
from state.columns import canonical_json

LOCK_KEY: Final = 0x666F726765  # "forge" in ASCII
LOCK_PATIENCE_S: Final = 1.0
OLDEST: Final = 140000

_OPTIONS: Final = " ".join(
    f"-c {option}"
    for option in (
        "timezone=UTC",
        "synchronous_commit=on",  # whatever the server's default: what was told as kept is on its disk
        "lock_timeout=5s",
        "statement_timeout=30s",
        "idle_in_transaction_session_timeout=60s",
        # A server that never hears of our end would keep our lock: it asks, and gives up after half a minute.
        "tcp_keepalives_idle=15",
        "tcp_keepalives_interval=5",
        "tcp_keepalives_count=3",
    )
)
_ARGUMENTS: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "options": _OPTIONS,
}

_LOST = ("connection", "the connection to PostgreSQL is lost", "Check that the server runs and can be reached")
_FAULTS: Final = (
    # SQLSTATE or its beginning, most specific first: https://www.postgresql.org/docs/18/errcodes-appendix.html
    ("53100", ("disk_full", "the disk of the PostgreSQL server is full", "Make room there")),
    ("533", ("connection", "the PostgreSQL server takes no more connections", "Raise max_connections")),
    ("53", ("io", "the PostgreSQL server lacks resources", "Look at its log")),
    ("55P03", ("locked", "somebody holds a lock in the database", "End the session that holds it")),
    ("57014", ("locked", "the database didn't answer in time", "Look for long transactions in pg_stat_activity")),
    ("40", ("locked", "another session writes to the database", "Nobody but forge should write to it")),
    ("57", _LOST),
    ("08", _LOST),
    ("25006", ("connection", "the PostgreSQL server only reads", "Let the URL name the primary server")),
    ("28", ("connection", "PostgreSQL refused the user or the password", "Check FORGE_DATABASE_URL")),
    ("3D000", ("connection", "PostgreSQL has no such database", "Create it, or check FORGE_DATABASE_URL")),
    ("58", ("io", "the PostgreSQL server met an I/O error", "Look at its log")),
    ("XX001", ("corrupt", "the database is damaged", "Restore it; `forge audit verify` checks the log")),
)


class PostgresDatabase:
    """One database of a server."""

    begin = "BEGIN"
    uses_local_disk = False

    def __init__(self, url: URL, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = f"PostgreSQL database {url.database} on {url.host or 'the local socket'}"
        host = socket.gethostname()[:24]
        self._title = f"forge pid {os.getpid()} on {host} {os.urandom(4).hex()}"
        self._clock = clock
        self._engine = create_engine(
            url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            json_serializer=canonical_json,
            connect_args={**_ARGUMENTS, "application_name": self._title},
        )

    def claim(self) -> None:
        """Nothing to do ahead: `connect` takes the lock in the session that writes."""

    def connect(self) -> Connection:
        connection = self._open()
        try:
            self._lock(connection)
        except DBAPIError as error:
            connection.close()
            raise self.fault(error) or StoreUnavailable(*_LOST) from error
        except StoreUnavailable:
            connection.close()
            raise
        return connection

    def connect_reader(self) -> Connection:
        connection = self._open()
        try:
            connection.exec_driver_sql(
                "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL REPEATABLE READ"
            )
        except DBAPIError as error:
            connection.close()
            raise self.fault(error) or StoreUnavailable(*_LOST) from error
        return connection

    def _open(self) -> Connection:
        try:
            connection = self._engine.connect()
        except DBAPIError as error:
            # Without its text: it may quote the connection string.
            raise self.fault(error) or StoreUnavailable(*_LOST) from None
        version = connection.connection.dbapi_connection.info.server_version  # type: ignore[union-attr]
        if version < OLDEST:
            connection.close()
            raise StoreUnavailable("old_postgresql", f"PostgreSQL {version // 10000} is too old", "Use 14 or later")
        return connection

    def _lock(self, connection: Connection) -> None:
        """Takes the lock; an old session of this very process that the server still believes in is ended first.

        It asks for a second: the server ends the session of a forge that has just stopped a moment after that forge is gone.
        """
        deadline = self._clock() + LOCK_PATIENCE_S
        while not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({LOCK_KEY})").scalar():
            holder = connection.exec_driver_sql(_HOLDER).first()
            if holder is not None and holder[1] == self._title:
                connection.exec_driver_sql(f"SELECT pg_terminate_backend({int(holder[0])}, 1000)")
            if self._clock() >= deadline:
                raise StoreUnavailable("in_use", f"another forge{_whose(holder)} uses this database", "Stop it first")
            time.sleep(0.05)

    def in_transaction(self, connection: Connection) -> bool:
        driver = connection.connection.driver_connection
        return isinstance(driver, psycopg.Connection) and driver.info.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )

    def fault(self, error: DBAPIError) -> StoreUnavailable | None:
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            lost = error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError)
            return StoreUnavailable(*_LOST) if lost else None
        return next((StoreUnavailable(*fault) for prefix, fault in _FAULTS if state.startswith(prefix)), None)

    def release(self) -> None:
        self._engine.dispose()


_HOLDER: Final = f"""
    SELECT held.pid, session.application_name FROM pg_locks AS held LEFT JOIN pg_stat_activity AS session USING (pid)
    WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
      AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (held.classid::bigint << 32 | held.objid::bigint) = {LOCK_KEY}
"""  # noqa: S608  (a constant of ours)


def _whose(holder: Row[Any] | None) -> str:
    """` (pid 12 on box 1a2b3c4d)`; empty when the holder went between two questions."""
    if holder is None:
        return ""
    pid, title = holder.pid, holder.application_name
    return f" ({title.removeprefix('forge ') if title else f'session {pid}'})"
