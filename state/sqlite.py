"""SQLite: the default database, one file, one writing process.

Rollback journal with `synchronous=EXTRA`, never WAL: SQLite 3.7.0 to 3.51.2 can corrupt a database in WAL mode with several connections,
and Python often brings an older one. The journal is truncated instead of deleted: as safe (SQLite syncs it), without directory entries.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from runbook.errors import StoreUnavailable

BUSY_TIMEOUT_S: Final = 5.0
OLDEST: Final = (3, 35, 0)
"""The first with RETURNING."""

DURABLE: tuple[str, ...] = ("journal_mode=TRUNCATE", "synchronous=EXTRA")
"""What the writer's connection is given so that a commit outlives a loss of power. Only tests within one process do with less."""

_opening: ContextVar[Callable[[], sqlite3.Connection]] = ContextVar("_opening")

_FAULTS: Final = {
    sqlite3.SQLITE_FULL: ("disk_full", "the disk is full", "Make room on the disk that holds the database"),
    sqlite3.SQLITE_BUSY: ("locked", "another program holds the database", "Close the program that has the file open"),
    sqlite3.SQLITE_LOCKED: ("locked", "another program holds the database", "Close the program that has the file open"),
    sqlite3.SQLITE_PROTOCOL: ("locked", "the database's locks contradict each other", "Keep the file on a local disk"),
    sqlite3.SQLITE_IOERR: ("io", "the database file can't be read or written", "Check the disk and its quota"),
    sqlite3.SQLITE_READONLY: ("io", "the database file can't be written", "Check its owner and mode, and the mount"),
    sqlite3.SQLITE_CANTOPEN: ("io", "the database file can't be opened", "Check its folder, owner and mode"),
    sqlite3.SQLITE_PERM: ("io", "the database file may not be opened", "Check its owner and mode"),
    sqlite3.SQLITE_NOMEM: ("io", "there is no memory left for the database", "Give the bot more memory"),
    sqlite3.SQLITE_CORRUPT: (
        "corrupt",
        "the database file is damaged",
        "Put a good copy back; `forge audit verify` checks it",
    ),
    sqlite3.SQLITE_NOTADB: ("corrupt", "the file is no SQLite database", "Check the path in FORGE_DATABASE_URL"),
}


class SqliteDatabase:
    """A file at `path`, mode 0600 in a folder that is made with mode 0700; `<path>.lock` keeps a second process out."""

    begin = "BEGIN IMMEDIATE"
    uses_local_disk = True

    def __init__(self, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self.name = f"SQLite file {path}"
        self.busy_timeout_s = busy_timeout_s
        self._lock: int | None = None

    def claim(self) -> None:
        if sqlite3.sqlite_version_info < OLDEST:
            raise StoreUnavailable(
                "old_sqlite", f"SQLite {sqlite3.sqlite_version} is too old", "Use a Python with SQLite 3.35 or later"
            )
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable("io", f"{self.path.parent} can't be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            raise StoreUnavailable(
                "in_use",
                f"another forge (pid {owner}) uses this database",
                "Stop it first, or ask it by `forge status`",
            ) from None
        self._lock = lock
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass  # a full disk: the lock holds, it only can't say whose it is
        self._create()

    def _create(self) -> None:
        """The file with its mode before SQLite opens it, which would follow the umask."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            self.path.chmod(0o600)
        except OSError as error:
            self.release()
            raise StoreUnavailable("io", f"{self.path} can't be made: {error.strerror}") from error

    def connect(self) -> Connection:
        return self._open("rw", (*DURABLE, "trusted_schema=OFF", "cache_size=-16000"))

    def connect_reader(self) -> Connection:
        if not self.path.exists():
            raise StoreUnavailable(
                "missing", f"there is no database at {self.path}", "Start the bot once, or check FORGE_DATA_DIR"
            )
        # After a crash the first who opens the file rolls the journal back, which takes the right to write.
        mode = "rw" if os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK) else "ro"
        return self._open(mode, ("query_only=ON", "trusted_schema=OFF", "cache_size=-16000"))

    def _open(self, mode: str, pragmas: tuple[str, ...]) -> Connection:
        def driver() -> sqlite3.Connection:
            return sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=self.busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
            )

        _opening.set(driver)
        try:
            connection = _engine().connect()
            for pragma in pragmas:
                connection.exec_driver_sql(f"PRAGMA {pragma}")
        except DBAPIError as error:
            raise self.fault(error) or StoreUnavailable("io", "the database can't be opened") from error
        return connection

    def in_transaction(self, connection: Connection) -> bool:
        driver = connection.connection.driver_connection
        return isinstance(driver, sqlite3.Connection) and driver.in_transaction

    def fault(self, error: DBAPIError) -> StoreUnavailable | None:
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code is None:
            return None
        # The lower byte is the primary code. SQLITE_IOERR_WRITE is also what a quota's EDQUOT and a limit's EFBIG become.
        found = _FAULTS.get(code & 0xFF)
        return None if found is None else StoreUnavailable(*found)

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@cache
def _engine() -> Engine:
    """One for all files of the process, so that a statement is compiled once for writer and reader; `_opening` says which file it is."""
    return create_engine(
        "sqlite://",
        creator=lambda: _opening.get()(),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )
