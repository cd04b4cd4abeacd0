"""What a role may do at a server, as far as backups and metrics need it. It reads the catalogues alone; nobody's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import psycopg

from integrations.postgres.connection import PostgresConnection
from integrations.postgres.look import connect, translated
from runbook.errors import ForgeError

_DUMPED: Final = """
SELECT r.rolsuper AS superuser,
       r.rolreplication AS replication,
       (SELECT count(*) FROM unreadable) AS unreadable,
       (SELECT min(name) FROM unreadable) AS unreadable_example,
       (SELECT min(c.oid::regclass::text) FROM pg_class c
         WHERE c.relrowsecurity AND NOT r.rolbypassrls AND NOT r.rolsuper
           AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE'))) AS hidden_rows,
       pg_has_role('pg_read_all_stats', 'USAGE') AS sees_statistics,
       has_function_privilege('pg_switch_wal()', 'EXECUTE') AS may_switch
  FROM pg_roles r WHERE r.rolname = current_user
"""
_UNREADABLE: Final = """
WITH unreadable AS (
  SELECT c.oid::regclass::text AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'm', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
     AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
     AND NOT (has_schema_privilege(n.oid, 'USAGE')
              AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
                                 ELSE has_table_privilege(c.oid, 'SELECT') END)
)
"""
_SLOT: Final = """
SELECT slot_type, wal_status, active FROM pg_replication_slots WHERE slot_name = %s
"""


@dataclass(frozen=True, slots=True)
class Rights:
    """unreadable: tables and sequences that can't be dumped, example: one of them. hidden_rows: a table whose row security would hide rows,
    or empty. sees_statistics: of all sessions (a member of `pg_monitor`). may_switch: begin a new WAL segment."""

    superuser: bool
    replication: bool
    unreadable: int
    example: str
    hidden_rows: str
    sees_statistics: bool
    may_switch: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """wal_status: `reserved`, `extended`, `unreserved` or `lost`. active: somebody receives by it now."""

    physical: bool
    wal_status: str
    active: bool


async def read_rights(connection: PostgresConnection) -> Rights:
    """Raises Permanent and Temporary, as `look` does."""
    row = await _row(connection, _UNREADABLE + _DUMPED)
    assert row is not None  # noqa: S101 - who asks is a role
    return Rights(
        superuser=row["superuser"],
        replication=row["superuser"] or row["replication"],
        unreadable=row["unreadable"],
        example=row["unreadable_example"] or "",
        hidden_rows=row["hidden_rows"] or "",
        sees_statistics=row["sees_statistics"],
        may_switch=row["may_switch"],
    )


async def read_slot(connection: PostgresConnection, name: str) -> Slot | None:
    """None: there is no such slot. Raises Permanent and Temporary."""
    row = await _row(connection, _SLOT, name)
    if row is None:
        return None
    return Slot(row["slot_type"] == "physical", row["wal_status"] or "lost", row["active"])


async def may_replicate(connection: PostgresConnection) -> ForgeError | None:
    """Why no WAL can be received over this connection: the server's pg_hba.conf has lines of its own for that. None: it can."""
    words: dict[str, Any] = {**connection.parameters(), "replication": "true"}
    if connection.password:
        words["password"] = connection.password
    try:
        async with await psycopg.AsyncConnection.connect("", autocommit=True, **words):
            return None
    except psycopg.Error as error:
        return translated(error, connection)


async def _row(connection: PostgresConnection, question: str, *values: str) -> dict[str, Any] | None:
    try:
        async with await connect(connection) as session:
            answer = await session.execute(question.encode(), values or None)
            return await answer.fetchone()
    except psycopg.Error as error:
        raise translated(error, connection) from None
