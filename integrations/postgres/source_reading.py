"""What a source has, read beside its dump in the very same snapshot. It never makes a backup fail: what can't be read is said in words.

Its transaction lasts as long as pg_dump's at most, but for a dump that takes seconds alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import psycopg

from integrations.postgres.connection import PostgresConnection
from integrations.postgres.facts import (
    MOST_SEQUENCES,
    Session,
    asked,
    catalogue,
    first_value,
    refusal,
    roles_of,
    sequence_facts,
    table_facts,
    told,
)
from integrations.postgres.look import connect
from runbook.backups import RestoreChecks
from runbook.source_facts import SourceFacts, TableFacts

_NOT_OVER: Final = "the dump was over before"


@dataclass(frozen=True, slots=True)
class Patience:
    """question_s: for each question. least_s: so long the reading may go on though the dump took less. lock_s: for somebody else's lock."""

    question_s: int = 300
    least_s: float = 15.0
    lock_s: int = 5


PATIENCE: Final = Patience()


@dataclass(slots=True)
class SourceReading:
    """snapshot: for `pg_dump --snapshot`, empty where there is none; it lasts until `imported` and all was read, or `over`."""

    checks: RestoreChecks
    patience: Patience
    facts: SourceFacts
    snapshot: str = ""
    began: float = field(default_factory=time.monotonic)
    _imported: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def imported(self) -> None:
        """pg_dump has the snapshot: it writes already."""
        self._imported.set()

    async def over(self) -> SourceFacts:
        """pg_dump has ended: what is not read by now, or `least_s` after the beginning, isn't."""
        self.imported()
        if self._task is not None:
            left = self.patience.least_s - (time.monotonic() - self.began)
            await asyncio.wait({self._task}, timeout=max(0.0, left))
        await self.stop()
        return self.facts

    async def stop(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    def problem(self, text: str) -> None:
        self.facts = replace(self.facts, problems=(*self.facts.problems, text))

    def start(self, session: Session) -> None:
        self._task = asyncio.create_task(self._all(session))

    async def begin(self, session: Session) -> None:
        """The snapshot first, then the sequences: pg_dump reads those later, so that none of its values is an older one."""
        await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # A server's own limit for whole transactions (since 17) would end the snapshot; each question has its own.
        await session.execute("SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout'")
        row = await (await session.execute("SELECT pg_export_snapshot() AS id, now() AS at")).fetchone()
        assert row is not None  # noqa: S101 - it has a row always
        self.facts = replace(self.facts, at=row["at"].astimezone(UTC))
        try:
            sequences, are_all = await sequence_facts(session)
        except psycopg.Error as error:
            self.problem(f"its sequences were not read: {refusal(session, error)}")
        else:
            self.facts = replace(self.facts, sequences=sequences)
            if not are_all:
                self.problem(f"of its sequences the first {MOST_SEQUENCES:,} are recorded alone")
        self.snapshot = row["id"]

    async def _all(self, session: Session) -> None:
        try:
            await self._read(session)
            await self._imported.wait()
        except psycopg.Error as error:
            self.problem(f"the source went away while it was read: {told(error)}")
        finally:
            self.missing()
            await asyncio.shield(session.close())

    async def _read(self, session: Session) -> None:
        await self._schema_version(session)  # first: what follows sets a search path for the rest of the transaction
        try:
            self.facts = replace(self.facts, catalogue=await catalogue(session), roles=await roles_of(session))
        except psycopg.Error as error:
            self.problem(f"its catalogue was not read: {refusal(session, error)}")
        for table in self.checks.critical:
            found = await table_facts(session, table, self.checks.checksum_rows)
            self.facts = replace(self.facts, tables={**self.facts.tables, table: found})

    async def _schema_version(self, session: Session) -> None:
        version, problem = await schema_version_of(session, self.checks.schema_version)
        self.facts = replace(self.facts, schema_version=version)
        if problem:
            self.problem(problem)

    def missing(self) -> None:
        """Tables that nobody came to."""
        left = {table: TableFacts(why=_NOT_OVER) for table in self.checks.critical if table not in self.facts.tables}
        self.facts = replace(self.facts, tables={**self.facts.tables, **left})


@contextlib.asynccontextmanager
async def reading_source(
    connection: PostgresConnection, checks: RestoreChecks, patience: Patience = PATIENCE, *, alone: str = ""
) -> AsyncIterator[SourceReading]:
    """Reads for as long as the block lasts at most. Without a session there is neither a snapshot nor anything read; the facts say so.

    alone: why nothing is to be read; empty: it is.
    """
    reading = SourceReading(checks, patience, SourceFacts(exact=True, at=datetime.now(UTC)))
    async with contextlib.AsyncExitStack() as stack:
        why = alone or await _begun(reading, stack, connection)
        if why:
            reading.problem(f"nothing was read of the source beside the dump: {why}")
            reading.missing()
        yield reading


async def _begun(reading: SourceReading, stack: contextlib.AsyncExitStack, connection: PostgresConnection) -> str:
    """Why it has not."""
    try:
        session = await stack.enter_async_context(await connect(connection, _options(reading.patience)))
        await reading.begin(session)
    except psycopg.Error as error:
        return told(error)
    stack.push_async_callback(reading.stop)
    reading.start(session)
    return ""


async def source_of_base(connection: PostgresConnection, checks: RestoreChecks) -> SourceFacts:
    """Of a physical copy, once it is made: it has no snapshot, and can be recovered to any later moment. So there is the schema version and
    what the catalogue has, for people to see; nothing is held against it."""
    facts = SourceFacts(exact=False, at=datetime.now(UTC))
    try:
        async with await connect(connection, _options(PATIENCE)) as session:
            version, problem = await schema_version_of(session, checks.schema_version)
            row = (await asked(session, _NOW))[0]
            return replace(
                facts, at=row[0].astimezone(UTC), schema_version=version, catalogue=await catalogue(session), problems=(problem,) if problem else ()
            )  # fmt: skip
    except psycopg.Error as error:
        return replace(facts, problems=(f"nothing was read of the source: {told(error)}",))


async def schema_version_of(session: Session, statement: str) -> tuple[str, str]:
    """(the version, why there is none); both empty where none is asked for."""
    try:
        found = await first_value(session, statement) if statement else None
    except psycopg.Error as error:
        return "", f"its schema version was not read: {refusal(session, error)}"
    if statement and found is None:
        return "", "it names no schema version"
    return "" if found is None else str(found), ""


_NOW: Final = psycopg.sql.SQL("SELECT clock_timestamp()")


def _options(patience: Patience) -> str:
    return (
        f"-c statement_timeout={patience.question_s}s -c lock_timeout={patience.lock_s}s -c default_transaction_read_only=on"
        " -c idle_in_transaction_session_timeout=0"
    )
