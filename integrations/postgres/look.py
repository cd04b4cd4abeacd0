"""Asks a server about itself; reads only, and each question is bounded in time."""

from __future__ import annotations

from datetime import UTC
from typing import Any, Final

import psycopg
from psycopg.rows import DictRow, dict_row

from integrations.postgres.connection import SYSTEM, PostgresConnection
from runbook.backups import ServerFacts
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.redaction import redacted

STATEMENT_TIMEOUT_S: Final = 15
_OPTIONS: Final = f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout=5s -c default_transaction_read_only=on -c search_path=pg_catalog"

_QUESTION: Final = """
SELECT current_setting('server_version_num')::int AS version_num,
       current_setting('server_version') AS version,
       current_database() AS database,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       pg_database_size(current_database()) AS database_bytes,
       pg_is_in_recovery() AS in_recovery,
       CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text AS lsn,
       current_setting('wal_level') AS wal_level,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS keep_mebibytes,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted,
       clock_timestamp() AS at
"""


async def look(connection: PostgresConnection) -> ServerFacts:
    """Raises Permanent where a person is needed (password, name, certificate, right), Temporary where the server may come back."""
    try:
        async with await connect(connection) as session:
            row = await (await session.execute(_QUESTION)).fetchone()
    except psycopg.Error as error:
        raise translated(error, connection) from None
    if row is None:
        raise Temporary(SYSTEM, "answer", f"{connection.where} gave no answer")
    return _facts(row)


async def connect(connection: PostgresConnection, options: str = _OPTIONS) -> psycopg.AsyncConnection[DictRow]:
    """A session that reads only; rows are dictionaries. Raises psycopg.Error, which `translated` makes ours."""
    words: dict[str, Any] = {**connection.parameters(), "options": options}
    if connection.password:
        words["password"] = connection.password
    return await psycopg.AsyncConnection.connect("", autocommit=True, row_factory=dict_row, **words)


def _facts(row: DictRow) -> ServerFacts:
    keep = row["keep_mebibytes"]
    return ServerFacts(
        version_num=row["version_num"],
        version=row["version"],
        system_identifier=row["system_identifier"],
        database_bytes=row["database_bytes"],
        in_recovery=row["in_recovery"],
        timeline=row["timeline"],
        lsn=row["lsn"] or "0/0",
        wal_level=row["wal_level"],
        keep_bytes=None if keep is None or keep < 0 else keep * 1024 * 1024,
        encrypted=row["encrypted"],
        at=row["at"].astimezone(UTC),
        database=row["database"],
    )


_NEEDS_A_PERSON: Final = (
    ("password authentication failed", "password", "Correct its user and password"),
    ("no password supplied", "password", "Configure its password"),
    ("authentication failed", "password", "Correct its user and password"),
    ("no pg_hba.conf entry", "refused", "Allow forge's user in the server's pg_hba.conf"),
    ("is not permitted to log in", "refused", "Give forge's user the right LOGIN"),
    ("certificate verify failed", "certificate", "Correct sslrootcert: the certificates that may sign the server's"),
    ("provider signature failure", "certificate", "Correct sslrootcert: the certificates that may sign the server's"),
    ("does not match host name", "certificate", "Use the host name that the server's certificate has"),
    ("root certificate file", "certificate", "Correct sslrootcert: the file isn't there"),
    ("server does not support SSL", "tls", "Turn on TLS at the server"),
    ("does not exist", "unknown", "Correct the name of the database or of its user"),
    ("permission denied", "right", "Give forge's user what docs/backups.md lists"),
)


def translated(error: psycopg.Error, connection: PostgresConnection) -> ForgeError:
    """In our own words: the server's may quote what it was sent."""
    text = str(error)
    if known := needs_a_person(text, connection):
        return known
    if error.sqlstate and error.sqlstate[:2] in ("42", "0A", "22"):
        return Permanent(SYSTEM, "query", f"{connection.where} refused the question: {_first(text)}")
    return Temporary(SYSTEM, "unreachable", f"{connection.where} can't be asked: {_first(text)}")


def needs_a_person(text: str, connection: PostgresConnection) -> Permanent | None:
    """What libpq or the server said, where asking again gives the same answer. None: it may pass."""
    for words, code, remedy in _NEEDS_A_PERSON:
        if words in text:
            said = next(line for line in text.splitlines() if words in line)
            return Permanent(SYSTEM, code, f"{connection.where} said: {_short(said)}", remedy)
    return None


def _first(text: str) -> str:
    """The line with the reason; libpq adds questions to it."""
    lines = text.strip().splitlines() or ["no reason given"]
    return _short(next((line for line in lines if "failed:" in line), lines[0]))


def _short(line: str) -> str:
    return redacted(line.strip().removeprefix("connection failed: "))[:300]
