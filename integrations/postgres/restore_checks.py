"""What is found in a restored database. Runbook: Restore Procedure 5, "post-restore checks". Reads only; each question is bounded in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from integrations.postgres.connection import SYSTEM
from integrations.postgres.facts import (
    UNCHECKED,
    Session,
    asked,
    catalogue,
    checksum,
    first_value,
    sequence_facts,
    told,
)
from integrations.postgres.instances import connect
from integrations.postgres.source_reading import schema_version_of
from runbook.backups import Instance, RestoreChecks, RestoredFacts
from runbook.errors import Temporary

STATEMENT_S: Final = 300
_OPTIONS: Final = (
    f"-c statement_timeout={STATEMENT_S}s -c lock_timeout=10s -c default_transaction_read_only=on"
    " -c idle_in_transaction_session_timeout=60s"
)

_SEQUENCES: Final = """
SELECT sequence.oid::regclass::text, owner.oid::regclass::text, attname, seqincrement > 0
FROM pg_depend
JOIN pg_class AS sequence ON sequence.oid = objid AND sequence.relkind = 'S'
JOIN pg_sequence ON seqrelid = sequence.oid
JOIN pg_class AS owner ON owner.oid = refobjid AND owner.relkind IN ('r', 'p')
JOIN pg_attribute ON attrelid = owner.oid AND attnum = refobjsubid
WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
UNION
SELECT sequence.oid::regclass::text, owner.oid::regclass::text, attname, seqincrement > 0
FROM pg_depend
JOIN pg_attrdef ON pg_attrdef.oid = objid
JOIN pg_class AS sequence ON sequence.oid = refobjid AND sequence.relkind = 'S'
JOIN pg_sequence ON seqrelid = sequence.oid
JOIN pg_class AS owner ON owner.oid = adrelid AND owner.relkind IN ('r', 'p')
JOIN pg_attribute ON attrelid = owner.oid AND attnum = adnum
WHERE classid = 'pg_attrdef'::regclass AND refclassid = 'pg_class'::regclass
ORDER BY 1, 2
"""
"""Sequences with the columns that they fill: those that a column owns, and those that a column's default asks."""


async def restored_facts(instance: Instance, checks: RestoreChecks) -> RestoredFacts:
    """A statement that fails is told in its place: as None rows, or as text. Raises Temporary("postgres.unreachable")."""
    try:
        async with await connect(Path(instance.service_file), instance.database, _OPTIONS) as session:
            rows = {table: await _rows(session, table) for table in checks.critical}
            small = [table for table, count in rows.items() if count is not None and count <= checks.checksum_rows]
            return RestoredFacts(
                schema_version=(await schema_version_of(session, checks.schema_version))[0],
                rows=rows,
                invalid=tuple([str(row[0]) for row in await asked(session, sql.SQL(UNCHECKED))]),
                behind=await _behind(session),
                smoke={statement: await _smoke(session, statement) for statement in checks.smoke},
                database_bytes=int(await _one(session, "SELECT pg_database_size(current_database())")),
                version_num=int(await _one(session, "SELECT current_setting('server_version_num')::int")),
                checksums={table: text for table in small if (text := await _checksum(session, table))},
                sequences=(await sequence_facts(session))[0],
                catalogue=await catalogue(session),
            )
    except psycopg.Error as error:
        raise Temporary(SYSTEM, "unreachable", f"the restored database can't be asked: {told(error)}") from None


async def _one(session: Session, statement: LiteralString) -> Any:
    return (await asked(session, sql.SQL(statement)))[0][0]


async def _checksum(session: Session, table: str) -> str:
    """Empty: none can be taken, or it takes too long."""
    try:
        return await checksum(session, table)
    except psycopg.Error:
        if session.closed:
            raise
        return ""


async def _rows(session: Session, table: str) -> int | None:
    """Counted, not estimated: nothing was analysed yet. None: there is no such table."""
    try:
        rows = await asked(session, sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table.split(".", 1))))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    return int(rows[0][0])


async def _behind(session: Session) -> tuple[str, ...]:
    behind = []
    for sequence, table, column, rising in await asked(session, sql.SQL(_SEQUENCES)):
        # Names come from regclass::text: quoted by the server where they need it.
        question = sql.SQL(
            "SELECT (SELECT {far}({column}) FROM {table}) {beyond} (SELECT CASE WHEN is_called THEN last_value"
            " ELSE last_value {back} END FROM {sequence})"
        ).format(
            far=sql.SQL("max" if rising else "min"),
            beyond=sql.SQL(">" if rising else "<"),
            back=sql.SQL("- 1" if rising else "+ 1"),
            column=sql.Identifier(column),
            table=sql.SQL(table),
            sequence=sql.SQL(sequence),
        )
        try:
            taken = (await asked(session, question))[0][0]
        except psycopg.errors.UndefinedFunction:
            continue  # the column is no number: its default does more with the sequence than to take it
        if taken:
            behind.append(f"{sequence} of {table}.{column}")
    return tuple(behind)


async def _smoke(session: Session, statement: str) -> bool | str:
    """Whether it gave a row whose first value is true; what came instead of a truth value, or what went wrong, as text."""
    try:
        found = await first_value(session, statement)
    except psycopg.Error as error:
        return told(error)
    if isinstance(found, bool):
        return found
    return "gave nothing" if found is None else f"gave {str(found)[:80]!r}, which is no truth value"
