"""What the WAL receiver asks of a server: whether it may, its replication slot, how far the server is, and to begin a new segment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

import psycopg

from integrations.postgres.connection import SYSTEM, PostgresConnection
from integrations.postgres.look import connect, translated
from runbook.backups import ServerFacts
from runbook.errors import Permanent, Temporary
from runbook.rules.wal import lsn_number

LOST: Final = "lost"

_SLOT: Final = """
SELECT slot_type, wal_status, active_pid, restart_lsn::text AS restart_lsn FROM pg_replication_slots WHERE slot_name = %s
"""

_CLOCK: Final = "SELECT clock_timestamp() AS at, pg_current_wal_insert_lsn()::text AS lsn"
_REST: Final = """
SELECT pg_current_snapshot()::text AS snapshot,
       (SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = %s) AS kept,
       (SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s) AS status
"""


@dataclass(frozen=True, slots=True)
class Position:
    """A server at a moment of its own clock. lsn: everything that was committed up to `at` is before it.

    snapshot: changes with every transaction that wrote something and ended; unlike the position it stays where a checkpoint writes. kept: up
    to where the slot's reader has stored everything, None without a slot. status: the slot's `wal_status`.
    """

    at: datetime
    lsn: int
    snapshot: str
    kept: int | None
    status: str


def check_archivable(facts: ServerFacts, slot: str) -> None:
    """Raises Permanent for a server whose WAL can't be received, or whose disk a slot could fill."""
    if facts.in_recovery:
        cause = f"the server of {facts.database or 'the database'} is a standby"
        raise Permanent(SYSTEM, "standby", cause, "Configure the primary's address: WAL is received from there")
    if facts.wal_level == "minimal":
        raise Permanent(
            SYSTEM, "wal_level", "the server's wal_level is minimal", "Set wal_level = replica and restart it"
        )
    if facts.keep_bytes is None:
        cause = f"max_slot_wal_keep_size is unlimited: while forge is away, the slot {slot} would fill the server's disk until it stops"
        raise Permanent(
            SYSTEM, "keep_size", cause, "Set max_slot_wal_keep_size, for instance to 10GB, and reload the server"
        )


async def ensure_slot(connection: PostgresConnection, slot: str) -> str:
    """Makes the physical slot where it isn't there. Returns its `wal_status`.

    Raises Permanent("postgres.slot") where the name is another kind's.
    """
    try:
        async with await connect(connection) as session:
            found = await (await session.execute(_SLOT, (slot,))).fetchone()
            if found is None:
                await session.execute("SELECT pg_create_physical_replication_slot(%s, true)", (slot,))
                return "reserved"
    except psycopg.errors.InsufficientPrivilege:
        raise _may_not(connection) from None
    except psycopg.Error as error:
        raise translated(error, connection) from None
    if found["slot_type"] != "physical":
        cause = f"the replication slot {slot} is a logical one"
        raise Permanent(SYSTEM, "slot", cause, "Configure another name as `slot`")
    return str(found["wal_status"] or "reserved")


async def drop_slot(connection: PostgresConnection, slot: str) -> None:
    """What is not there is fine. Raises Temporary while somebody reads from it."""
    await _asked(
        connection, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", slot
    )


async def position(connection: PostgresConnection, slot: str) -> Position:
    """The clock is read before everything else, so that nothing is promised that came later."""
    try:
        async with await connect(connection) as session:
            clock = await (await session.execute(_CLOCK)).fetchone()
            rest = await (await session.execute(_REST, (slot, slot))).fetchone()
    except psycopg.Error as error:
        raise translated(error, connection) from None
    if clock is None or rest is None:
        raise Temporary(SYSTEM, "answer", f"{connection.where} gave no answer")
    kept = rest["kept"]
    return Position(
        at=clock["at"].astimezone(UTC), lsn=lsn_number(clock["lsn"]), snapshot=rest["snapshot"],
        kept=None if kept is None else lsn_number(kept), status=str(rest["status"] or ""),
    )  # fmt: skip


async def switch_segment(connection: PostgresConnection) -> bool:
    """Ends the current segment, so that it can be archived. False: forge's user may not."""
    try:
        async with await connect(connection) as session:
            await session.execute("SELECT pg_switch_wal()")
    except psycopg.errors.InsufficientPrivilege:
        return False
    except psycopg.Error as error:
        raise translated(error, connection) from None
    return True


async def _asked(connection: PostgresConnection, statement: LiteralString, *values: Any) -> None:
    try:
        async with await connect(connection) as session:
            await session.execute(statement, values)
    except psycopg.errors.InsufficientPrivilege:
        raise _may_not(connection) from None
    except psycopg.Error as error:
        raise translated(error, connection) from None


def _may_not(connection: PostgresConnection) -> Permanent:
    cause = f"forge's user may not use replication slots of {connection.where}"
    return Permanent(SYSTEM, "replication", cause, f"ALTER ROLE {connection.user} REPLICATION")
