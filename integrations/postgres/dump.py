"""A logical backup of one database: `pg_dump -Fc`, encrypted on its way into the repository and decoded beside it.

Nothing stays in the repository unless the dump came to a good end, all of it was decoded, and there is something in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from integrations.backups import Repository, backup_place
from integrations.postgres.connection import (
    SYSTEM,
    ConnectionFiles,
    PostgresConnection,
    connection_files,
    plain_environment,
)
from integrations.postgres.look import look, needs_a_person
from integrations.postgres.programs import Program, ProgramFinder
from integrations.postgres.source_reading import PATIENCE, Patience, SourceReading, reading_source
from integrations.postgres.streams import Reader, Stream, moving, reading, streaming
from runbook.backups import BackupOrder, Made, Progress, ServerFacts, StoredFile
from runbook.database_ports import Tell
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.source_facts import SourceFacts

_TOLD_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """idle_s: without a byte for this long a dump is given up; the schema of a very large database takes a minute. lock_wait_s: how long
    it waits for a table that somebody else has locked. source: for what is read of the source beside it."""

    idle_s: float = 600.0
    lock_wait_s: int = 60
    source: Patience = PATIENCE


LIMITS: Final = Limits()


async def dump(
    connection: PostgresConnection,
    programs: ProgramFinder,
    repository: Repository,
    scratch: Path,
    order: BackupOrder,
    tell: Tell,
    *,
    limits: Limits = LIMITS,
) -> Made:
    """See `runbook.database_ports.Database.dump`. Raises Temporary("postgres.stalled") and Temporary("postgres.locked") at its limits."""
    started_at = datetime.now(UTC)
    before = await look(connection)
    program = await programs.at_least("pg_dump", before.major, tls=connection.encrypted)
    place = await _cleared(repository, order)
    copy = partial(_copied, connection, program, repository, scratch, place, order, tell, limits, before.database_bytes)
    try:
        stored, work = await copy("")
    except Temporary as error:
        if error.code != f"{SYSTEM}.snapshot":
            raise
        stored, work = await copy("the dump could not share a snapshot with other sessions")
    tell(work.progress())
    return Made(
        server=before,
        client=str(program.version),
        files=(stored,),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        entries=work.entries,
        decoded=True,
        lsn_start=before.lsn,
        lsn_end=work.after.lsn if work.after is not None else before.lsn,
        timeline=before.timeline,
        recipients=repository.recipients,
        source=work.source,
    )


async def _copied(
    connection: PostgresConnection,
    program: Program,
    repository: Repository,
    scratch: Path,
    place: str,
    order: BackupOrder,
    tell: Tell,
    limits: Limits,
    expected_bytes: int,
    alone: str,
) -> tuple[StoredFile, _Dump]:
    """alone: why nothing is read of the source beside it; empty: it is."""
    async with reading_source(connection, order.checks, limits.source, alone=alone) as reading:
        work = _Dump(connection, program, limits, reading)
        telling = asyncio.create_task(_tell(work, tell))
        try:
            with connection_files(connection, scratch) as files:
                stored = await repository.store(
                    place, "dump", work.chunks(files), expected_bytes=expected_bytes, stored=work.note_stored
                )
        finally:
            telling.cancel()
            await asyncio.wait({telling})
    return stored, work


async def _cleared(repository: Repository, order: BackupOrder) -> str:
    """The backup's folder, without what an earlier attempt left. Raises Permanent("backups.published") for one that is complete."""
    if await repository.manifest(order.id) is not None:
        raise Permanent("backups", "published", f"{order.id} was published already", "Begin a new backup")
    place = backup_place(order.id)
    await repository.discard(place)
    return place


@dataclass(slots=True)
class _Dump:
    """One dump while it runs. after: the server as it was at the end. source: what was read of it meanwhile."""

    connection: PostgresConnection
    program: Program
    limits: Limits
    reading: SourceReading
    done: int = 0
    stored: int = 0
    entries: int = 0
    after: ServerFacts | None = None
    source: SourceFacts | None = None
    began: float = field(default_factory=time.monotonic)

    def note_stored(self, _plain: int, cipher: int) -> None:
        self.stored = cipher

    def progress(self) -> Progress:
        """Of how many is not known: the dump is compressed, the database isn't."""
        return Progress("pg_dump", self.done, self.stored, 0, time.monotonic() - self.began)

    async def chunks(self, files: ConnectionFiles) -> AsyncIterator[bytes]:
        """The dump. It comes to its end only where everything about it is right: whoever stores it relies on that."""
        arguments = (
            str(self.program.path),
            "--format=custom",
            "--no-password",
            f"--lock-wait-timeout={self.limits.lock_wait_s * 1000}",
            f"--dbname={files.target}",
            *([f"--snapshot={self.reading.snapshot}"] if self.reading.snapshot else []),
        )
        restore = str(self.program.beside("pg_restore"))
        plain = {**plain_environment(), "TMPDIR": str(files.folder)}
        async with contextlib.AsyncExitStack() as stack:
            decoder = await stack.enter_async_context(streaming((restore, "-f", "/dev/null"), plain, reads=True))
            lister = await stack.enter_async_context(streaming((restore, "--list"), plain, reads=True, writes=True))
            environment = files.environment(f"-c lock_timeout={self.limits.lock_wait_s}s")
            source = await stack.enter_async_context(streaming(arguments, environment, writes=True))
            readers = [await stack.enter_async_context(reading(stream, _undecodable)) for stream in (decoder, lister)]
            listing = asyncio.create_task(_entries(lister))
            stack.push_async_callback(_dropped, listing)
            async with contextlib.aclosing(self._copied(source, readers)) as pieces:
                async for piece in pieces:
                    yield piece
            await self._finish(source, readers, listing)

    async def _copied(self, source: Stream, readers: list[Reader]) -> AsyncGenerator[bytes]:
        while True:
            async with moving(f"pg_dump of {self.connection.where}", self.limits.idle_s):
                piece = await source.read()
            if not piece:
                return
            self.reading.imported()
            self.done += len(piece)
            async with moving("decoding the dump", self.limits.idle_s):
                for reader in readers:
                    await reader.put(piece)
            yield piece

    async def _finish(self, source: Stream, readers: list[Reader], listing: asyncio.Task[int]) -> None:
        """pg_dump first: what it says explains what the others didn't like."""
        async with moving("the end of the dump", self.limits.idle_s):
            code, said = await source.ended()
            if code != 0:
                raise _alone(self.reading, said) or _broken(self.connection, code, said, self.limits)
        self.source = await self.reading.over()
        async with moving("the end of the dump", self.limits.idle_s):
            for reader in readers:
                await reader.end()
            self.entries = await listing
        if self.entries == 0 or self.done == 0:
            remedy = "Look whether it is the right database, and whether forge's user may read it"
            raise Permanent(SYSTEM, "empty", f"the dump of {self.connection.where} has nothing in it", remedy)
        self.after = await look(self.connection)


async def _entries(lister: Stream) -> int:
    """Lines of `pg_restore --list` that are no comments."""
    count, rest = 0, b""
    while piece := await lister.read():
        *lines, rest = (rest + piece).split(b"\n")
        count += sum(1 for line in lines if line.strip() and not line.startswith(b";"))
    return count + bool(rest.strip() and not rest.startswith(b";"))


async def _dropped(task: asyncio.Task[int]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _undecodable(said: str) -> ForgeError:
    return Temporary(SYSTEM, "undecodable", f"what pg_dump wrote can't be decoded: {said}")


_IN_ITS_WAY: Final = ("snapshot", "too many connections", "connection slots are reserved")
"""What pg_dump says where it is asked to share a snapshot and can't: it came to another server of a list, or there is no second session."""


def _alone(reading: SourceReading, said: str) -> Temporary | None:
    if not reading.snapshot or not any(words in said for words in _IN_ITS_WAY):
        return None
    return Temporary(SYSTEM, "snapshot", f"pg_dump could not use the snapshot that was made for it: {said}")


def _broken(connection: PostgresConnection, code: int, said: str, limits: Limits) -> ForgeError:
    """Why pg_dump failed. Temporary where the connection or the process was lost, or a lock was held."""
    if code < 0:
        return Temporary(SYSTEM, "killed", f"pg_dump was ended by signal {-code}")
    if "lock timeout" in said or "statement timeout" in said:
        cause = f"a table of {connection.where} was locked for {limits.lock_wait_s} s: {said}"
        return Temporary(SYSTEM, "locked", cause, "Wait until the migration or the VACUUM FULL is over")
    return needs_a_person(said, connection) or Temporary(SYSTEM, "broken_off", f"pg_dump broke off: {said}")


async def _tell(work: _Dump, tell: Tell) -> None:
    while True:
        tell(work.progress())
        await asyncio.sleep(_TOLD_EVERY_S)
