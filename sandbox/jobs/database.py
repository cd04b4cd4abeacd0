"""The shop's database as its programs reach it: by libpq's own variables (PGHOST, PGPASSWORD, …), which a Secret gives them."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import psycopg
from psycopg.abc import Query

CONNECT_WITHIN_S = 5


def connect(name: str = "") -> psycopg.Connection:
    """A session outside of a transaction. name: of another database than the shop's own, at the same server.

    Ends the program with a word where there is none to be had.
    """
    if not os.environ.get("PGHOST"):
        give_up("PGHOST is not set: the Secret with the database's address is missing")
    try:
        return psycopg.connect(
            "", autocommit=True, connect_timeout=CONNECT_WITHIN_S, application_name="shop-job", dbname=name or None
        )
    except psycopg.OperationalError as failed:
        give_up(f"can't connect to the database: {failed}")


def give_up(why: str) -> NoReturn:
    sys.stderr.write(f"{why}\n")
    raise SystemExit(1)


def number(connection: psycopg.Connection, query: Query) -> int:
    """The first column of the first row."""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row is not None else 0


def versions(connection: psycopg.Connection) -> list[str]:
    """Names of the applied migrations, oldest first."""
    return [str(row[0]) for row in connection.execute("SELECT name FROM schema_versions ORDER BY applied_at, name")]


def has_column(connection: psycopg.Connection, table: str, column: str) -> bool:
    asked = "SELECT 1 FROM information_schema.columns WHERE table_name = %s AND column_name = %s"
    return connection.execute(asked, (table, column)).fetchone() is not None
