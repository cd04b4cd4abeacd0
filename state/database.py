"""What the store needs of a database, and the choice between the two by URL.

No connection string and no password ever stands in an error or a log line from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from runbook.errors import StoreUnavailable

SQLITE_FILE: Final = "forge.db"


class Database(Protocol):
    """One database; connections are in the driver's autocommit mode, so that transactions are begun and ended in plain sight.

    name: how people may see it, without secrets. begin: the SQL that begins a writer's transaction.
    uses_local_disk: whether room given up in the data directory helps it.
    """

    name: str
    begin: str
    uses_local_disk: bool

    def claim(self) -> None:
        """Keeps every second process from writing; called once, before `connect`. Raises StoreUnavailable(`store.in_use`)."""

    def connect(self) -> Connection:
        """A new connection for the one writer, which holds the claim. Raises StoreUnavailable."""

    def connect_reader(self) -> Connection:
        """A new connection that can't write. Raises StoreUnavailable."""

    def in_transaction(self, connection: Connection) -> bool:
        """Whether the transaction that was begun still stands: SQLite may end one by itself when the disk is full."""

    def fault(self, error: DBAPIError) -> StoreUnavailable | None:
        """The error as the engine knows it; None when it is no fault of the surroundings but of a statement."""

    def release(self) -> None: ...


def database_of(url: str, data_dir: Path) -> Database:
    """The database that a URL names; an empty one is `forge.db` in the data directory.

    Raises StoreUnavailable(`store.url`): not a URL, or neither `sqlite:` nor `postgresql:`.
    """
    from state.sqlite import SqliteDatabase

    if not url:
        return SqliteDatabase(data_dir / SQLITE_FILE)
    remedy = "Write sqlite:////absolute/path/forge.db or postgresql://user@host/name"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The library's own error quotes the text, which may hold a password.
        raise StoreUnavailable("url", "the database URL can't be read", remedy) from None
    if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return SqliteDatabase(Path(str(parsed.database)))
    if parsed.get_backend_name() == "postgresql":
        from state.postgres import PostgresDatabase  # psycopg is loaded only where it is asked for

        return PostgresDatabase(parsed.set(drivername="postgresql+psycopg"))
    raise StoreUnavailable("url", "the database URL names no database that forge can use", remedy)
