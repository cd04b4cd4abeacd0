"""Fills a server of forge's own: `pg_restore` of a dump into a new database, or WAL replayed onto a base backup.

What it reads was authenticated, decrypted and hashed whole before: that is the caller's promise. What an earlier attempt left is dropped first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import tarfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from integrations.postgres.base import NEEDED, SUPERUSER
from integrations.postgres.connection import SYSTEM
from integrations.postgres.folder_tar import unpack
from integrations.postgres.instances import (
    ADMIN_DATABASE,
    LocalInstances,
    Places,
    address,
    connect,
    target,
    tool_environment,
)
from integrations.postgres.programs import ProgramFinder
from integrations.postgres.roles import MOST, make_roles, missing_role, named_in
from integrations.postgres.server_programs import give_tree_to_server, last_words, run_tool
from integrations.postgres.service_files import write_service_file
from runbook.backups import Manifest, Progress
from runbook.database_ports import Tell
from runbook.errors import Permanent, Temporary
from runbook.source_facts import Role

RESTORE_S: Final = 12 * 3600.0
"""At most so long for `pg_restore`, and for the replay of WAL."""

BEFORE: Final = ("--section=pre-data", "--section=data")
BEHIND: Final = ("--section=post-data",)
"""Keys, indexes and triggers, alone and thus in the dump's own order."""

_STATEMENT: Final = "could not execute query"
"""pg_restore's words for a statement that the server refused."""

_TARGET_BEYOND: Final = "recovery ended before configured recovery target was reached"
_CONFIGURATION: Final = ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf")
_SIGNALS: Final = ("standby.signal", "postmaster.pid", "postmaster.opts")


async def restore_dump(
    programs: ProgramFinder, places: Places, manifest: Manifest, dump: Path, tell: Tell, *, jobs: int | None = None
) -> None:
    """Makes the database with the encoding and locale that it had, and everything in it.

    Owners, grants, default privileges and policies come along: the roles that they name are made without the right to log in. Publications
    and subscriptions don't: they would act. Tablespaces are the source's machine's. jobs: side by side; None: by the machine.

    Raises Permanent("postgres.restore") with pg_restore's own words.
    """
    program = await programs.exactly("pg_restore", manifest.major)
    words = (
        str(program.path), "--exit-on-error", "--no-password", "--no-publications", "--no-subscriptions", "--no-tablespaces"
    )  # fmt: skip
    # Never one alone: rows are in the same transaction as their empty table then, and in no WAL (see `FILLING`).
    first = ("--create", f"--jobs={jobs or max(2, min(4, os.cpu_count() or 1))}", f"--dbname={target(ADMIN_DATABASE)}")
    last = (f"--dbname={target(manifest.database)}",)
    roles, in_order = await _roles(str(program.path), places, manifest, dump), False
    async with progress_told(tell, "pg_restore", lambda: _database_bytes(places, manifest.database)):
        for _ in range(MOST):
            await _drop_database(places, manifest.database)
            await _make_roles(places, roles)
            parts = ((*first, *BEFORE), (*last, *BEHIND)) if in_order else (first,)
            try:
                for part in parts:
                    await run_tool(
                        (*words, *part, str(dump)), timeout_s=RESTORE_S, environment=tool_environment(places)
                    )
            except Permanent as error:
                if missing := missing_role(error.cause):
                    roles = (Role(missing, superuser=True),)
                elif in_order or not is_of_order(error):
                    raise refused(error) from None
                else:
                    in_order = True
                continue
            return
    cause = f"the dump needs more than {MOST} roles that nobody had foreseen"
    raise Permanent(SYSTEM, "restore", cause, "Restore it by hand")


async def _roles(program: str, places: Places, manifest: Manifest, dump: Path) -> tuple[Role, ...]:
    """As the backup tells them; where it doesn't, as far as they can be read off the dump."""
    if manifest.source is not None and manifest.source.roles is not None:
        return manifest.source.roles
    schema = places.folder / "schema.sql"
    try:
        arguments = (program, "--schema-only", "--create", f"--file={schema}", str(dump))
        await run_tool(arguments, timeout_s=RESTORE_S, environment=tool_environment(places))
        return await asyncio.to_thread(named_in, schema)
    except Permanent as error:
        raise refused(error) from None
    finally:
        await asyncio.to_thread(schema.unlink, missing_ok=True)


async def _make_roles(places: Places, roles: tuple[Role, ...]) -> None:
    try:
        async with await connect(places.service_file, ADMIN_DATABASE, "-c statement_timeout=120s") as session:
            await make_roles(session, roles)
    except psycopg.Error as error:
        raise _refused_by_server(error) from None


async def dump_of(programs: ProgramFinder, places: Places, manifest: Manifest, into: Path) -> None:
    """Dumps the database of a server that was recovered here, owners and grants included. Raises Permanent("postgres.failed")."""
    program = await programs.exactly("pg_dump", manifest.major)
    await asyncio.to_thread(into.unlink, missing_ok=True)
    arguments = (
        str(program.path), "--format=custom", "--no-password", "--compress=1", f"--file={into}", f"--dbname={target(manifest.database)}",
    )  # fmt: skip
    await run_tool(arguments, timeout_s=RESTORE_S, environment=tool_environment(places))


async def replay(
    instances: LocalInstances,
    name: str,
    manifest: Manifest,
    archive: Path,
    until: datetime | None,
    timeline: int,
    tell: Tell,
) -> datetime:
    """Unpacks a base backup, replays the WAL that lies in `places.wal`, and lets the server go its own way from there.

    until: nothing committed later is in it. timeline: the one to follow. Returns the moment of the last transaction that was replayed; of a
    backup onto which there was nothing to replay its own end.

    Raises Permanent("postgres.died") with the server's last words and Temporary("postgres.timeout").
    """
    places = instances.places(name)
    await instances.stop(name)
    await asyncio.to_thread(_unpack_data, places, archive, _superuser(manifest))
    settings = recovery_settings(manifest, until, timeline)
    async with progress_told(tell, "replaying WAL", lambda: _replayed(places, manifest)):
        try:
            return await _recovered(instances, name, manifest, settings)
        except Permanent as error:
            if error.code != f"{SYSTEM}.died" or _TARGET_BEYOND not in error.cause:
                raise
        # All the WAL up to `until` is here, and no transaction in it is later: its end is the state of that moment.
        settings = recovery_settings(manifest, None, timeline)
        return await _recovered(instances, name, manifest, settings)


def recovery_settings(manifest: Manifest, until: datetime | None, timeline: int) -> Mapping[str, str]:
    """Of the server that recovers. Paths are relative to its data, so that nothing has to be quoted."""
    settings = {name: value for name, value in manifest.settings.items() if name in NEEDED}
    settings |= {
        "hot_standby": "on",
        "restore_command": "test -f ../wal/%f && cp ../wal/%f %p",
        "recovery_target_timeline": "current" if timeline == manifest.timeline else str(timeline),
        "recovery_target_action": "promote",
    }
    if until is not None:
        settings["recovery_target_time"] = until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
    return settings


def write_recovery_service(places: Places, manifest: Manifest) -> None:
    """How the recovered server is reached: as the source's own superuser, by the name of forge's user at the socket."""
    write_service_file(places.service_file, {**address(places), "user": _superuser(manifest)})


def _superuser(manifest: Manifest) -> str:
    """Raises Permanent("postgres.settings") for a name that can't be written down."""
    name = manifest.settings.get(SUPERUSER, "postgres")
    if not name or any(mark in name for mark in '"\r\n\0'):
        raise Permanent(
            SYSTEM, "settings", "the source's superuser has a name that can't be used", "Restore it by hand"
        )
    return name


async def _recovered(instances: LocalInstances, name: str, manifest: Manifest, settings: Mapping[str, str]) -> datetime:
    places = instances.places(name)
    deadline = time.monotonic() + RESTORE_S
    log_before = places.log.stat().st_size if places.log.exists() else 0
    try:
        await instances.start(name, manifest.major, settings, timeout_s=RESTORE_S)
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.Error):
                async with await connect(places.service_file, ADMIN_DATABASE) as session:
                    row = await (await session.execute(_STATE)).fetchone()
                    if row is not None and not row[0]:
                        return row[1].astimezone(UTC) if isinstance(row[1], datetime) else manifest.finished_at
            if not instances.alive(name):
                raise instances.died(name)
            await asyncio.sleep(0.05)
    except Permanent as error:
        raise await asyncio.to_thread(_explained, error, places, log_before) from None
    await instances.stop(name)
    raise Temporary(SYSTEM, "timeout", f"the replay of WAL was not over after {RESTORE_S:g} s")


_TOO_EARLY: Final = b"the database system is "
"""What the server tells us while it isn't ready."""

_STATE: Final = "SELECT pg_is_in_recovery(), pg_last_xact_replay_timestamp()"


def _explained(error: Permanent, places: Places, since: int) -> Permanent:
    """With the reason alone, where the server's log has one."""
    with contextlib.suppress(OSError), places.log.open("rb") as log:
        log.seek(since)
        lines = log.read(1 << 20).splitlines()
        fatal = [line for line in lines if (b"FATAL:" in line or b"PANIC:" in line) and _TOO_EARLY not in line]
        if error.code == f"{SYSTEM}.died" and fatal:
            cause = f"the recovering server ended by itself: {last_words(b'; '.join(fatal[:3]))}"
            return Permanent(SYSTEM, "died", cause, error.remedy)
    return error


def _unpack_data(places: Places, archive: Path, superuser: str) -> None:
    """The data, with a configuration of our own: the source's could archive, replicate, listen or load whatever it likes."""
    if places.data.exists():
        shutil.rmtree(places.data)
    places.data.mkdir(mode=0o700)
    try:
        unpack(archive, places.data)
    except (OSError, tarfile.TarError) as error:
        raise Temporary(
            SYSTEM, "scratch", f"the base backup can't be unpacked: {error}", "Make room in scratch"
        ) from None
    for name in (*_CONFIGURATION, *_SIGNALS):
        (places.data / name).unlink(missing_ok=True)
    (places.data / "postgresql.conf").touch(0o600)
    (places.data / "pg_hba.conf").write_text("local all all peer map=forge\n")
    me = pwd.getpwuid(os.geteuid()).pw_name
    (places.data / "pg_ident.conf").write_text(f'forge "{me}" "{superuser}"\n')
    (places.data / "recovery.signal").touch(0o600)
    places.wal.mkdir(mode=0o700, exist_ok=True)
    give_tree_to_server(places.data)
    give_tree_to_server(places.wal)


def is_of_order(error: Permanent) -> bool:
    """Whether one after another may go well: side by side pg_restore keeps only to the dependencies that a dump tells.

    Not told are those within functions of indexes, and partitions' keys that are attached at once may miss each other: the key above them
    isn't valid then, and no other table can refer to it.
    """
    return _STATEMENT in error.cause


def refused(error: Permanent) -> Permanent:
    """Of pg_restore, with what a person can do about it."""
    if error.code != f"{SYSTEM}.failed":
        return error
    remedy = "Look at what it says; a missing extension, locale or version has to be installed on forge's machine"
    return Permanent(SYSTEM, "restore", error.cause, remedy)


_THROW_OUT: Final = sql.SQL(
    "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
).format()


async def _drop_database(places: Places, database: str) -> None:
    """After everybody was thrown out: what an earlier attempt asked for may still be under way, even the making of this very database."""
    await _administer(places, _THROW_OUT)
    await _administer(places, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


async def _administer(places: Places, statement: sql.Composed) -> None:
    try:
        async with await connect(places.service_file, ADMIN_DATABASE, "-c statement_timeout=120s") as session:
            await session.execute(statement)
    except psycopg.Error as error:
        raise _refused_by_server(error) from None


def _refused_by_server(error: psycopg.Error) -> Temporary:
    return Temporary(SYSTEM, "instance", f"the new server refused: {last_words(str(error).encode(), 200)}")


async def _database_bytes(places: Places, database: str) -> int:
    async with await connect(places.service_file, ADMIN_DATABASE, "-c statement_timeout=5s") as session:
        asked = sql.SQL("SELECT sum(pg_database_size(oid))::bigint FROM pg_database WHERE datname = {}")
        row = await (await session.execute(asked.format(sql.Literal(database)))).fetchone()
        return int(str(row[0])) if row and row[0] is not None else 0


async def _replayed(places: Places, manifest: Manifest) -> int:
    """Bytes of WAL since the base backup."""
    async with await connect(places.service_file, ADMIN_DATABASE, "-c statement_timeout=5s") as session:
        asked = sql.SQL("SELECT greatest(0, pg_wal_lsn_diff(pg_last_wal_replay_lsn(), {}::pg_lsn))::bigint")
        row = await (await session.execute(asked.format(sql.Literal(manifest.lsn_end)))).fetchone()
        return int(str(row[0])) if row and row[0] is not None else 0


@contextlib.asynccontextmanager
async def progress_told(tell: Tell, phase: str, measure: Callable[[], Awaitable[int]]) -> AsyncIterator[None]:
    """Tells about once a second how far it is, as long as that can be asked."""
    began = time.monotonic()

    async def watch() -> None:
        while True:
            await asyncio.sleep(1)
            with contextlib.suppress(psycopg.Error):
                tell(Progress(phase, await measure(), 0, 0, time.monotonic() - began))

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait({watching})
