"""A database worth backing up, and what is equal in a good copy of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from integrations.backups import Repository
from integrations.postgres import PostgresConnection, PostgresDatabase
from integrations.postgres.programs import ProgramFinder
from runbook.backups import Progress
from sandbox.postgres import USER, LocalPostgres
from tests.integrations.postgres.servers import finder

SCHEMA = """
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE orders (
    id serial PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers (id),
    cents integer NOT NULL CHECK (cents > 0),
    note text
);
INSERT INTO customers (name) SELECT 'Müller ' || n FROM generate_series(1, 200) n;
INSERT INTO orders (customer, cents, note) SELECT 1 + n % 200, n, md5(n::text) FROM generate_series(1, 3000) n;
CREATE VIEW totals AS SELECT customer, sum(cents) AS cents FROM orders GROUP BY customer;
"""
BULK = """
CREATE TABLE bulk AS SELECT n, md5(n::text) || md5((n * 7)::text) || md5((n * 13)::text) AS noise FROM generate_series(1, %s) n;
"""

QUESTIONS = {
    "sequences": "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1",
    "constraints": """
        SELECT conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace ORDER BY 1""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
}


def connection_to(server: LocalPostgres, database: str = "shop", **changed: Any) -> PostgresConnection:
    """Over the socket."""
    words: dict[str, Any] = {
        "host": str(server.run),
        "port": server.port,
        "name": database,
        "user": USER,
        "password": server.password,
        "sslmode": "disable",
    }
    return PostgresConnection(**{**words, **changed})


def fill(server: LocalPostgres, database: str = "shop", *, bulk: int = 0) -> None:
    """bulk: rows of noise; 100,000 give a dump of 6 MB, which takes the third of a second."""
    server.create_database(database)
    with psycopg.connect(server.url(database), autocommit=True) as session:
        session.execute(SCHEMA)
        if bulk:
            session.execute(BULK.replace("%s", str(bulk)))


@dataclass
class Subject:
    """A database with everything that a backup of it needs. told: what its progress was."""

    connection: PostgresConnection
    repository: Repository
    scratch: Path
    programs: ProgramFinder

    def __post_init__(self) -> None:
        self.told: list[Progress] = []
        self.database = PostgresDatabase(self.connection, self.programs, self.repository, self.scratch)


def subject(
    connection: PostgresConnection, repository: Repository, folder: Path, programs: ProgramFinder | None = None
) -> Subject:
    return Subject(connection, repository, folder / "scratch", programs or finder())


def contents(url: str) -> dict[str, object]:
    """Rows and a checksum of every table, where sequences stand, and what constraints and views say."""
    found: dict[str, object] = {}
    with psycopg.connect(url) as session:
        tables = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        for (table,) in tables:
            question = f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM public.{table} t"
            found[table] = session.execute(question).fetchone()  # type: ignore[arg-type]
        for name, question in QUESTIONS.items():
            found[name] = session.execute(question).fetchall()  # type: ignore[arg-type]
    return found


def children(name: str) -> list[psutil.Process]:
    """Our own running children of that name."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child.name() == name and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@contextmanager
def locked(server: LocalPostgres, table: str, database: str = "shop") -> Iterator[None]:
    """Somebody else has the table for themselves."""
    with psycopg.connect(server.url(database)) as session:
        session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")  # type: ignore[arg-type]
        yield
