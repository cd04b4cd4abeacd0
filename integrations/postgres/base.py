"""A physical copy of a whole server: `pg_basebackup` into scratch, checked by `pg_verifybackup`, then encrypted into the repository as one tar.

It needs as much room in scratch as the server's data have, and leaves none of them there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from integrations.backups import Repository, backup_place
from integrations.postgres.connection import BASE_PREFIX, SYSTEM, PostgresConnection, connection_files, folder_of_ours
from integrations.postgres.folder_tar import packed, tree_size
from integrations.postgres.look import connect, look, translated
from integrations.postgres.programs import Program, ProgramFinder
from integrations.postgres.server_programs import run_tool
from integrations.postgres.source_reading import source_of_base
from runbook.backups import BackupOrder, Made, Progress
from runbook.database_ports import Tell
from runbook.errors import ForgeError, Permanent, Temporary

COPY_S: Final = 12 * 3600.0
"""At most so long for the copy; for its check as well."""

FILE_NAME: Final = "base.tar"
SUPERUSER: Final = "superuser"
"""Among a base backup's settings: the name of the role that initdb made."""
NEEDED: Final = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)
"""A recovery doesn't begin where one of these is lower than it was at the source.
https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-ADMIN"""

_SPARE: Final = 64 * 1024 * 1024
_PROGRESS: Final = re.compile(rb"(\d+)/(\d+) kB")
_QUESTION: Final = """
SELECT (SELECT string_agg(spcname, ', ') FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')) AS tablespaces,
       (SELECT rolname FROM pg_roles WHERE oid = 10) AS superuser,
       (SELECT jsonb_object_agg(name, setting) FROM pg_settings WHERE name = ANY(%s)) AS settings,
       CASE WHEN pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
            THEN (SELECT sum(pg_database_size(oid)) FROM pg_database)::bigint END AS bytes
"""


@dataclass(frozen=True, slots=True)
class Range:
    """Which WAL a base backup needs to be consistent, as its own manifest says."""

    timeline: int
    start: str
    end: str


class _Watch:
    """What `tell` is told. Every number grows only."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._began = self._told = time.monotonic()
        self._of = 0

    def copied(self, said: bytes) -> None:
        found = _PROGRESS.findall(said)
        if found:
            self._of = int(found[-1][1]) * 1024
            self._say("pg_basebackup", int(found[-1][0]) * 1024, 0)

    def stored(self, plain: int, cipher: int) -> None:
        self._say("storing", plain, cipher)

    def phase(self, name: str, of: int) -> None:
        self._of, self._told = of, 0.0
        self._say(name, 0, 0)

    def _say(self, phase: str, done: int, stored: int) -> None:
        now = time.monotonic()
        if now - self._told >= 1:
            self._told = now
            self._tell(Progress(phase, done, stored, max(self._of, done), now - self._began))


async def base_backup(
    connection: PostgresConnection,
    programs: ProgramFinder,
    repository: Repository,
    scratch: Path,
    order: BackupOrder,
    tell: Tell,
) -> Made:
    """Fulfils `Database.base_backup`. Moments are the server's own: what can be recovered to is counted in its time.

    Raises Permanent("postgres.tablespaces"), Permanent("postgres.replication"), Temporary("postgres.room") and what its programs give.
    """
    if await repository.manifest(order.id) is not None:
        raise Permanent("backups", "published", f"{order.id} was published already", "Begin a new backup")
    await repository.discard(backup_place(order.id))
    before = await look(connection)
    asked = await _asked(connection)
    program = await programs.exactly("pg_basebackup", before.major, tls=connection.encrypted)
    watch = _Watch(tell)
    async with _folder(scratch) as folder:
        _room(folder, asked["bytes"] or before.database_bytes)
        data = folder / "data"
        await _copy(connection, program, scratch, data, order, watch)
        wal = read_range(data / "backup_manifest")
        watch.phase("pg_verifybackup", 0)
        await _verify(program, data)
        after, source = await look(connection), await source_of_base(connection, order.checks)
        files, size = await asyncio.to_thread(tree_size, data)
        watch.phase("storing", size)
        stored = await repository.store(
            backup_place(order.id), FILE_NAME, _checked(data), expected_bytes=size, stored=watch.stored, compressed=True
        )
    return Made(
        server=before, client=str(program.version), files=(stored,), started_at=before.at, finished_at=after.at, entries=files,
        decoded=True, lsn_start=wal.start, lsn_end=wal.end, timeline=wal.timeline, recipients=repository.recipients,
        settings={**asked["settings"], SUPERUSER: asked["superuser"]}, source=source,
    )  # fmt: skip


def read_range(manifest: Path) -> Range:
    """Of PostgreSQL's own backup_manifest. Raises Permanent("postgres.manifest").
    https://www.postgresql.org/docs/current/backup-manifest-wal.html"""
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))["WAL-Ranges"]
        if len(found) != 1:
            raise ValueError(f"{len(found)} ranges of WAL")
        return Range(int(found[0]["Timeline"]), str(found[0]["Start-LSN"]), str(found[0]["End-LSN"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        cause = f"the base backup has no manifest that can be read: {error}"
        raise Permanent(SYSTEM, "manifest", cause, "Make another base backup") from None


async def _asked(connection: PostgresConnection) -> dict[str, Any]:
    try:
        async with await connect(connection) as session:
            row = await (await session.execute(_QUESTION, (list(NEEDED),))).fetchone()
    except psycopg.Error as error:
        raise translated(error, connection) from None
    if row is None:
        raise Temporary(SYSTEM, "answer", f"{connection.where} gave no answer")
    if row["tablespaces"]:
        cause = (
            f"{connection.where} has tablespaces of its own ({row['tablespaces']}); base backups of those are not made"
        )
        raise Permanent(
            SYSTEM, "tablespaces", cause, "Move what is in them into pg_default, or rely on logical backups"
        )
    return dict(row)


async def _copy(
    connection: PostgresConnection, program: Program, scratch: Path, data: Path, order: BackupOrder, watch: _Watch
) -> None:
    with connection_files(connection, scratch) as files:
        arguments = (
            str(program.path), f"--dbname={files.target}", f"--pgdata={data}", "--format=plain", "--wal-method=stream", "--checkpoint=fast",
            f"--label={order.id}", "--progress", "--no-password", "--no-sync",
        )  # fmt: skip
        try:
            await run_tool(arguments, timeout_s=COPY_S, environment=files.environment(), heard=watch.copied)
        except Permanent as error:
            raise _translated(error, connection) from None


def _translated(error: Permanent, connection: PostgresConnection) -> ForgeError:
    """A person is needed for rights and settings; the rest may be better next time."""
    said = error.cause
    if any(
        words in said for words in ("permission denied to start WAL sender", "must be superuser or replication role")
    ):
        cause = f"forge's user may not copy {connection.where} physically"
        return Permanent(SYSTEM, "replication", cause, f"ALTER ROLE {connection.user} REPLICATION")
    if "no pg_hba.conf entry for replication" in said:
        cause = f"the server of {connection.where} lets forge's user not replicate"
        return Permanent(SYSTEM, "replication", cause, "Add a line for the database `replication` to its pg_hba.conf")
    if "max_wal_senders" in said or "all replication slots are in use" in said:
        return Temporary(
            SYSTEM, "replication", f"{connection.where} has no room for a copy: {said}", "Raise its max_wal_senders"
        )
    if "No space left on device" in said:
        return Temporary(SYSTEM, "room", "the scratch folder is full", "Make room in the scratch folder")
    return Temporary(SYSTEM, "copy", f"the physical copy of {connection.where} broke off: {said}")


async def _verify(program: Program, data: Path) -> None:
    arguments = (str(program.beside("pg_verifybackup")), "--exit-on-error", str(data))
    try:
        await run_tool(arguments, timeout_s=COPY_S)
    except Permanent as error:
        if error.code != f"{SYSTEM}.failed":
            raise
        raise Temporary(SYSTEM, "verify", f"the base backup is not what its manifest says: {error.cause}") from None


async def _checked(data: Path) -> AsyncIterator[bytes]:
    try:
        async with contextlib.aclosing(packed(data)) as pieces:
            async for piece in pieces:
                yield piece
    except (OSError, ValueError) as error:
        raise Temporary(SYSTEM, "scratch", f"the copy in scratch can't be read: {error}") from None


@contextlib.asynccontextmanager
async def _folder(scratch: Path) -> AsyncIterator[Path]:
    """A folder of its own, wiped in the end, or by the next one and at the next start where forge dies."""
    stack = contextlib.ExitStack()
    folder = await asyncio.to_thread(stack.enter_context, folder_of_ours(scratch, BASE_PREFIX))
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(stack.close))


def _room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + needed // 10 + _SPARE:
        cause = f"scratch has {free // 1_000_000} MB of room; a copy of the server needs about {needed // 1_000_000} MB and a tenth"
        raise Temporary(SYSTEM, "room", cause, "Make room there, or configure another scratch folder")
