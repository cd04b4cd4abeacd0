"""The shop's databases: one real PostgreSQL with a database per environment, and the Secrets that lead to them.

Its schema is what the running version's migrations made of it; it is made anew at each start, with those that were applied before.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sandbox.postgres import USER, LocalPostgres
from sandbox.world.tags import read

TEMPLATE = "shop"
SECRET = "shop-database"  # noqa: S105 - the Secret's name
BACKUP_USER = "forge_backup"
KEPT_WAL = ("max_slot_wal_keep_size=512MB", "checkpoint_timeout=30s")
SEGMENT_MIB = 1
"""Of a little shop's WAL, of which an archive gets a piece whenever a minute's orders have to be safe."""


class DatabaseFailed(RuntimeError):
    """PostgreSQL isn't there, or didn't start; the message says why."""


class ShopDatabase:
    """Blocks: `start` and `stop` belong into a thread. applied: environment -> names of migrations, in their order.

    backed_up: whether there is a role that makes backups, and its WAL may be received.
    """

    def __init__(
        self, environments: Sequence[str], applied: Mapping[str, Sequence[str]], *, backed_up: bool = False
    ) -> None:
        self._server = (
            LocalPostgres(tcp=True, settings=KEPT_WAL, segment_mib=SEGMENT_MIB)
            if backed_up
            else LocalPostgres(tcp=True)
        )
        self._backed_up = backed_up
        self.backup_password = secrets.token_urlsafe(16)
        self._environments = tuple(environments)
        self._applied = applied

    def start(self) -> None:
        """Raises DatabaseFailed."""
        try:
            self._server.start()
        except RuntimeError as failed:
            raise DatabaseFailed(str(failed)) from None
        if self._backed_up:
            self._admit_backups()
        with psycopg.connect(self._server.create_database(TEMPLATE), autocommit=True) as connection:
            connection.execute(sql.SQL(read("schema.sql")))
        for env in self._environments:
            self._make(env)

    def _admit_backups(self) -> None:
        """As docs/operations.md has it. What is granted in `template1` is granted in every database that is made from it."""
        role = sql.Identifier(BACKUP_USER)
        made = sql.SQL("CREATE ROLE {} LOGIN REPLICATION PASSWORD {} IN ROLE pg_read_all_data, pg_monitor")
        with psycopg.connect(self._server.url("template1"), autocommit=True) as connection:
            connection.execute(made.format(role, sql.Literal(self.backup_password)))
            connection.execute(sql.SQL("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO {}").format(role))

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def programs(self) -> Path:
        """The folder of this version's programs."""
        return self._server.binaries

    def reset(self, env: str) -> None:
        """As it was when the world began; whoever is connected is thrown out."""
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(env)))
        self._make(env)

    def _make(self, env: str) -> None:
        with psycopg.connect(self._server.create_database(env, TEMPLATE), autocommit=True) as connection:
            for name in self._applied.get(env, ()):
                connection.execute(sql.SQL(read(f"migrations/{name}.up.sql")))
                connection.execute("INSERT INTO schema_versions (name) VALUES (%s)", (name,))

    def stop(self) -> None:
        self._server.stop()

    def url(self, env: str) -> str:
        """Of an environment's database, with the password."""
        return self._server.url(env)

    def secret(self, env: str) -> dict[str, Any]:
        """The Secret with libpq's variables, as it lies in the environment's namespace."""
        values = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self._server.port),
            "PGUSER": USER,
            "PGPASSWORD": self._server.password,
            "PGDATABASE": env,
        }
        return secret(SECRET, env, values)

    def migrations(self, env: str) -> list[str]:
        """Names of the applied migrations, oldest first."""
        with psycopg.connect(self.url(env)) as connection:
            rows = connection.execute("SELECT name FROM schema_versions ORDER BY applied_at, name").fetchall()
        return [str(row[0]) for row in rows]

    def columns(self, env: str, table: str) -> dict[str, str]:
        """column -> type, as the database itself tells."""
        asked = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
        with psycopg.connect(self.url(env)) as connection:
            return {str(name): str(kind) for name, kind in connection.execute(asked, (table,)).fetchall()}

    def orders(self, env: str) -> int | None:
        """How many there are; None: there is no such table."""
        with psycopg.connect(self.url(env)) as connection:
            try:
                row = connection.execute("SELECT count(*) FROM orders").fetchone()
            except psycopg.errors.UndefinedTable:
                return None
        return int(row[0]) if row else 0

    def execute(self, env: str, statement: str) -> None:
        """As somebody with the password might."""
        with psycopg.connect(self.url(env), autocommit=True) as connection:
            connection.execute(sql.SQL(statement))


def secret(name: str, namespace: str, values: Mapping[str, str]) -> dict[str, Any]:
    """A Secret's API object."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
