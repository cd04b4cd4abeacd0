"""The questions by which a restored database is held against its source: the same for both. They read only.

A checksum of a table is the sum of `hashtextextended(row, 0)` over its rows as text: it needs no order and no memory, and a row that is
there twice counts twice. It finds damage and loss, not forgery (that is what the manifest's signature and hashes are for), and is the same
on servers of one major version alone: hash functions may change with the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from runbook.redaction import redacted
from runbook.source_facts import Catalogue, Role, SequenceFacts, TableFacts

Session = psycopg.AsyncConnection[Any]

MOST_SEQUENCES: Final = 2_000
MOST_NAMES: Final = 200
"""So many are kept at most: a manifest has a largest size."""

_TEXT: Final = {
    "search_path": "pg_catalog",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "row_security": "off",
}
"""How values become text, whatever server and role say. Without row security: an error rather than fewer rows."""

_FOREIGN: Final = {
    "v": "it is a view",
    "m": "it is a materialised view, which a restore computes anew",
    "f": "it is a foreign table",
}
_OURS: Final = """
NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)' AND c.relpersistence <> 't'
"""
_KIND: Final = "SELECT relkind FROM pg_class WHERE oid = to_regclass({})"
_SUM: Final = """
SELECT coalesce(sum(hashtextextended("forge's row"::text COLLATE "C", 0)), 0)::text FROM {} AS "forge's row"
"""
_SEQUENCES: Final = """
SELECT format('%I.%I', n.nspname, c.relname),
       CASE WHEN has_sequence_privilege(c.oid, 'SELECT, USAGE') THEN pg_sequence_last_value(c.oid) END, seqincrement > 0, seqcycle
  FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid JOIN pg_namespace n ON n.oid = relnamespace
 WHERE c.relpersistence = 'p' AND {ours} ORDER BY 1 LIMIT {most}
"""
_COUNTS: Final = """
WITH ours AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.relkind IN ('r', 'p') AND {ours})
SELECT (SELECT count(*) FROM ours),
       (SELECT count(*) FROM pg_constraint WHERE conparentid = 0 AND conrelid IN (SELECT oid FROM ours)),
       (SELECT count(*) FROM pg_index JOIN pg_class c ON c.oid = indexrelid
         WHERE indisvalid AND NOT c.relispartition AND indrelid IN (SELECT oid FROM ours))
"""
UNCHECKED: Final = """
SELECT format('constraint %I of %s', conname, conrelid::regclass) FROM pg_constraint WHERE NOT convalidated
UNION ALL
SELECT format('index %s', indexrelid::regclass) FROM pg_index WHERE NOT (indisvalid AND indisready AND indislive)
ORDER BY 1
"""
_ROLES: Final = """
WITH here AS (SELECT oid, datdba FROM pg_database WHERE datname = current_database()), named AS (
  SELECT refobjid AS id FROM pg_shdepend, here
   WHERE refclassid = 'pg_authid'::regclass AND (dbid = here.oid OR (classid = 'pg_database'::regclass AND objid = here.oid))
  UNION SELECT datdba FROM here
  UNION SELECT setrole FROM pg_db_role_setting, here WHERE setdatabase = here.oid
  UNION SELECT 10)
SELECT rolname, rolsuper, rolbypassrls FROM named JOIN pg_roles ON pg_roles.oid = named.id WHERE rolname !~ '^pg_' ORDER BY 1
"""
"""Whom something belongs to or is granted to, in this database alone. The role that initdb made (10) is in no list of dependencies.
https://www.postgresql.org/docs/current/catalog-pg-shdepend.html"""


async def table_facts(session: Session, table: str, checksum_rows: int) -> TableFacts:
    """What can't be found out is said in words. table: `schema.table`. Raises psycopg.Error only where the session is lost."""
    rows: int | None = None
    try:
        async with session.transaction():
            await _plainly(session)
            quoted = sql.Identifier(*table.split(".", 1))
            found = await asked(session, sql.SQL(_KIND).format(sql.Literal(quoted.as_string(session))))
            if not found:
                return TableFacts(why="it is not there")
            if (why := _FOREIGN.get(_letter(found[0][0]))) is not None:
                return TableFacts(why=why)
            rows = int((await asked(session, sql.SQL("SELECT count(*) FROM {}").format(quoted)))[0][0])
        if rows > checksum_rows:
            return TableFacts(rows, why=f"more than {checksum_rows:,} rows are counted alone")
        return TableFacts(rows, await checksum(session, table))
    except psycopg.Error as error:
        return TableFacts(rows, why=refusal(session, error))


async def checksum(session: Session, table: str) -> str:
    """Of all its rows. Raises psycopg.Error."""
    async with session.transaction():
        await _plainly(session)
        found = await asked(session, sql.SQL(_SUM).format(sql.Identifier(*table.split(".", 1))))
    return str(found[0][0])


async def sequence_facts(session: Session) -> tuple[dict[str, SequenceFacts], bool]:
    """By `schema.name`, quoted as the server would, and whether these are all. Raises psycopg.Error."""
    async with session.transaction():
        found = await asked(
            session, sql.SQL(_SEQUENCES).format(ours=sql.SQL(_OURS), most=sql.Literal(MOST_SEQUENCES + 1))
        )
    facts = {name: SequenceFacts(last, rising, cycles) for name, last, rising, cycles in found[:MOST_SEQUENCES]}
    return facts, len(found) <= MOST_SEQUENCES


async def catalogue(session: Session) -> Catalogue:
    """Raises psycopg.Error."""
    async with session.transaction():
        await session.execute("SELECT set_config('search_path', 'public', true)")
        tables, constraints, indexes = (await asked(session, sql.SQL(_COUNTS).format(ours=sql.SQL(_OURS))))[0]
        unchecked = await asked(session, sql.SQL(UNCHECKED))
    return Catalogue(tables, constraints, indexes, tuple(name for (name,) in unchecked[:MOST_NAMES]))


async def roles_of(session: Session) -> tuple[Role, ...]:
    """All that the database names. Raises psycopg.Error."""
    async with session.transaction():
        found = await asked(session, sql.SQL(_ROLES))
    return tuple(Role(*row) for row in found)


async def first_value(session: Session, statement: str) -> object:
    """The first value of the first row; None without one. The statement is the configuration's own. Raises psycopg.Error."""
    async with session.transaction():
        found = await session.cursor(row_factory=tuple_row).execute(statement.encode())
        row = await found.fetchone()
    return row[0] if row else None


async def asked(session: Session, statement: sql.SQL | sql.Composed) -> Sequence[tuple[Any, ...]]:
    found = await session.cursor(row_factory=tuple_row).execute(statement)
    return await found.fetchall()


def refusal(session: Session, error: psycopg.Error) -> str:
    """Why an answer is missing, in words. Raises the error where there is no session any more."""
    if session.closed:
        raise error
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "it took too long"
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "somebody else has locked it"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return f"it is not permitted: {told(error)}"
    return told(error)


def told(error: psycopg.Error) -> str:
    lines = str(error).strip().splitlines()
    return redacted(lines[0].strip())[:200] if lines else "no reason given"


async def _plainly(session: Session) -> None:
    for name, value in _TEXT.items():
        await session.execute("SELECT set_config(%s, %s, true)", (name, value))


def _letter(kind: object) -> str:
    return kind.decode() if isinstance(kind, bytes) else str(kind)
