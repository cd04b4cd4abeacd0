"""PostgreSQL servers of forge's own, for restores: each in a folder below scratch, reachable through a Unix socket there and by nobody else.

A server outlives forge and is found again by its name. Nothing outside the scratch folder is ever touched, and no process is ended that
isn't known to be that very server.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from integrations.postgres.connection import SYSTEM, plain_environment
from integrations.postgres.programs import ProgramFinder
from integrations.postgres.server_processes import end, end_orphans, reap, running
from integrations.postgres.server_programs import give_to_server, last_words, run_tool, server_user
from integrations.postgres.service_files import SERVICE, read_service_file, write_service_file
from runbook.backups import Instance
from runbook.errors import Permanent, Temporary

START_S: Final = 60.0
INITDB_S: Final = 120.0
ADMIN_DATABASE: Final = "template1"
PORT: Final = 5432
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SOCKET_BYTES: Final = 107
"""Of a Unix socket's path, on Linux. https://man7.org/linux/man-pages/man7/unix.7.html"""

SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "port": str(PORT),
    "archive_mode": "off",
    "max_logical_replication_workers": "0",  # a restored subscription must not go on drinking from the live publisher
    "shared_preload_libraries": "",
    "logging_collector": "off",
    "log_destination": "stderr",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "maintenance_work_mem": "128MB",
    "password_encryption": "scram-sha-256",
}
"""Of every server here. Nothing of the source's own configuration is used."""

FILLING: Final[Mapping[str, str]] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",  # rows and indexes that come with their table are in no WAL then: half of what is written
    "max_wal_senders": "0",
    "full_page_writes": "off",  # else, with checksums, each page gets there by its hint bits
    "autovacuum": "off",
}
"""Of a server while it is filled, and never of one that is called restored: `LocalInstances.settle` is between."""

_EMPTY, _FILLING, _SETTLED = "empty", "filling", "settled"
_SYNC_S: Final = 3600.0
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything of one server lies. folder: 0700 but for its parts that the server's user must reach."""

    folder: Path
    sockets: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def wal(self) -> Path:
        """Decrypted segments, for `restore_command`."""
        return self.folder / "wal"

    @property
    def fetched(self) -> Path:
        return self.folder / "fetched"

    @property
    def service_file(self) -> Path:
        return self.folder / "service.conf"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def made(self) -> Path:
        """Is there once the server's data are whole."""
        return self.folder / "made.json"


class LocalInstances:
    """Starts, finds and drops servers. settings: more of the server's settings, by name; they win.

    As root the servers run as `nobody`: scratch becomes that user's folder (0700), so that it can be reached.
    """

    def __init__(self, scratch: Path, programs: ProgramFinder, settings: Mapping[str, str] | None = None) -> None:
        self._scratch = scratch
        self._programs = programs
        self._settings = dict(settings or {})
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def places(self, name: str) -> Places:
        """Raises Permanent("postgres.name") and, for a scratch path that is too long for a socket, Permanent("postgres.scratch")."""
        if _NAME.fullmatch(name) is None:
            raise Permanent(
                SYSTEM, "name", f"{name[:100]!r} is no name of a server", "Use letters, digits, '-' and '.'"
            )
        short = hashlib.sha256(name.encode()).hexdigest()[:12]
        sockets = self._scratch / "s" / short
        if len(os.fsencode(sockets / f".s.PGSQL.{PORT}")) > _SOCKET_BYTES:
            cause = f"the path of the scratch folder {self._scratch} is too long for a Unix socket below it"
            raise Permanent(SYSTEM, "scratch", cause, "Configure a shorter integrations.postgres.backups.scratch")
        return Places(self._scratch / "restores" / name, sockets)

    def prepare(self, name: str) -> Places:
        """Its folders. Raises Permanent("postgres.scratch")."""
        places = self.places(name)
        try:
            self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._scratch.chmod(0o700)
            give_to_server(self._scratch)
            shared = 0o711 if server_user() else 0o700
            for folder in (places.folder.parent, places.folder, places.sockets.parent):
                folder.mkdir(exist_ok=True)
                folder.chmod(shared)
            for folder in (places.fetched, places.sockets):
                folder.mkdir(mode=0o700, exist_ok=True)
            give_to_server(places.sockets)
        except OSError as error:
            cause = f"the scratch folder {self._scratch} can't be used: {error.strerror}"
            raise Permanent(SYSTEM, "scratch", cause, "Make it a folder of forge's own user") from None
        self._reachable()
        return places

    async def provision(
        self, name: str, major: int, database: str, settings: Mapping[str, str] | None = None
    ) -> Instance:
        """An empty server with a password of its own; the one of this name where it stands whole already, started if need be.

        settings: of an empty one; they win. One that was settled never gets any.
        """
        places = await asyncio.to_thread(self.prepare, name)
        found = _remembered(places)
        if found == _state(_SETTLED, major):
            await self.start(name, major)
            return instance(name, major, places, database)
        # Never put on the disk: what a machine that went down left of it, or a server that was killed, is not to be trusted.
        if found != _state(_EMPTY, major):
            await self._cleared(name)
            await self._initialise(places, major)
            _remember(places, _state(_EMPTY, major))
        await self.start(name, major, settings)
        return instance(name, major, places, database)

    async def begin_filling(self, name: str, major: int, database: str) -> Instance:
        """An empty server that nobody has begun to fill, with `FILLING`. What an earlier attempt or a restore left under its name goes."""
        if _kind(self.places(name)) in (_FILLING, _SETTLED):
            await self._cleared(name)
        found = await self.provision(name, major, database, FILLING)
        await asyncio.to_thread(_remember, self.places(name), _state(_FILLING, major))
        return found

    async def settle(self, name: str, major: int) -> None:
        """Puts a server that was filled on the disk, and starts it again with nothing but durable settings.

        "In order to guarantee recovery when changing fsync from off to on, it is necessary to force all modified buffers in the kernel to
        durable storage. This can be done while the cluster is shutdown or while fsync is on by running initdb --sync-only"
        (https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-FSYNC). So: stopped, synced, and only then on record.
        """
        places = self.places(name)
        await self.stop(name)
        if self._settings.get("fsync") != "off":
            program = await self._programs.exactly("initdb", major)
            arguments = (str(program.path), "--sync-only", f"--pgdata={places.data}")
            await run_tool(arguments, timeout_s=_SYNC_S, cwd=places.folder, as_server=True)
            await asyncio.to_thread(_to_disk, places.service_file, places.folder)
        await asyncio.to_thread(_remember, places, _state(_SETTLED, major))
        await self.start(name, major)

    async def _cleared(self, name: str) -> None:
        places = self.places(name)
        await self.stop(name)
        await asyncio.to_thread(_wipe, places.data, places.service_file, places.made)

    async def start(
        self, name: str, major: int, settings: Mapping[str, str] | None = None, *, timeout_s: float = START_S
    ) -> None:
        """Starts the server on its data, unless it runs, and waits until it takes connections. settings: for this start; they win.

        Raises Permanent("postgres.died") with its last words, Temporary("postgres.timeout"); then it is ended.
        """
        places = self.places(name)
        if self.alive(name):
            try:
                await self._answers(name, places, timeout_s)
                return
            except BaseException as error:
                is_gone = isinstance(error, Permanent) and not self.alive(name)
                await self.stop(name)
                if not is_gone:  # else it was there for its last moments only, such as one that was just killed
                    raise
        await end_orphans(places.data)  # two servers on the same data would destroy them
        program = await self._programs.exactly("postgres", major)
        wanted = {
            **SETTINGS,
            "unix_socket_directories": str(places.sockets),
            **self._settings,
            **(settings or {}),
        }
        await asyncio.to_thread(self._launch, name, places, program.path, wanted)
        try:
            await self._answers(name, places, timeout_s)
        except BaseException:
            await self.stop(name)
            raise

    async def stop(self, name: str) -> None:
        """Ends the server of this name at once, its sessions included; its data stay."""
        places = self.places(name)
        process = self._started.pop(name, None)
        pid = running(places.data)
        if pid is None and process is not None and process.poll() is None:
            pid = process.pid  # it has not written its file yet
        if pid is not None:
            await end(pid, places.data)
        if process is not None:
            await asyncio.to_thread(reap, process)
        await end_orphans(places.data)

    async def drop(self, name: str) -> None:
        """Ends it and removes its files; what is not there is fine."""
        await self.stop(name)
        places = self.places(name)
        await asyncio.to_thread(_wipe, places.sockets, places.folder)

    async def standing(self) -> tuple[str, ...]:
        """Names of all that run or left files, in order."""
        folder = self._scratch / "restores"
        return await asyncio.to_thread(
            lambda: tuple(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else ()
        )

    def alive(self, name: str) -> bool:
        """Its process is there; it may not take connections yet."""
        process = self._started.get(name)
        if process is not None and process.poll() is not None:
            return False
        return process is not None or running(self.places(name).data) is not None

    def died(self, name: str) -> Permanent:
        """The error for a server that ended by itself."""
        places = self.places(name)
        said = places.log.read_bytes()[-4096:] if places.log.exists() else b""
        cause = f"the PostgreSQL server for {name} ended by itself: {last_words(said, 1200)}"
        return Permanent(SYSTEM, "died", cause, "See what it said; begin the restore again once that is mended")

    def _launch(self, name: str, places: Places, program: Path, settings: Mapping[str, str]) -> None:
        command = [str(program), "-D", str(places.data)]
        for word, value in settings.items():
            command += ["-c", f"{word}={value}"]
        # Left by a server that is no more, and somebody else may have its number by now. Both folders are this server's alone.
        for left in (places.data / "postmaster.pid", *places.sockets.glob(".s.PGSQL.*")):
            left.unlink(missing_ok=True)
        try:
            with open(os.open(places.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:  # noqa: PTH123 - from a descriptor
                self._started[name] = subprocess.Popen(  # noqa: S603 - our own program and settings
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**plain_environment(), "HOME": str(places.sockets)},
                    cwd=places.data.parent,
                    start_new_session=True,
                    **server_user(),
                )
        except OSError as error:
            raise Permanent(SYSTEM, "no_program", f"{program} can't be run: {error.strerror}", _READABLE) from None

    async def _answers(self, name: str, places: Places, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        refused = ""
        while time.monotonic() < deadline:
            try:
                async with await connect(places.service_file, ADMIN_DATABASE, timeout_s=5):
                    return
            except psycopg.OperationalError as error:
                refused = str(error)
            if not self.alive(name):
                raise self.died(name)
            await asyncio.sleep(0.03)
        raise Temporary(
            SYSTEM, "timeout", f"the PostgreSQL server for {name} did not start: {last_words(refused.encode())}"
        )

    async def _initialise(self, places: Places, major: int) -> None:
        """A cluster whose only user has a random password, which lies in the service file and nowhere else."""
        program = await self._programs.exactly("initdb", major)
        password = secrets.token_urlsafe(24)
        given = places.sockets / "password"
        places.data.mkdir(mode=0o700)
        with os.fdopen(os.open(given, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(password)
        give_to_server(places.data, given)
        arguments = (
            str(program.path), f"--pgdata={places.data}", f"--username={OWNER}", f"--pwfile={given}", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync",
        )  # fmt: skip
        try:
            await run_tool(arguments, timeout_s=INITDB_S, cwd=places.folder, as_server=True)
        finally:
            given.unlink(missing_ok=True)
        write_service_file(places.service_file, {**address(places), "user": OWNER, "password": password})

    def _reachable(self) -> None:
        """Raises Permanent("postgres.scratch") where the servers' user can't get to scratch."""
        if not server_user():
            return
        closed = next((parent for parent in self._scratch.resolve().parents if not parent.stat().st_mode & 0o001), None)
        if closed is not None:
            cause = f"servers run as nobody, who can't get through {closed} to the scratch folder"
            raise Permanent(
                SYSTEM, "scratch", cause, "Run forge as a user of its own, or configure another scratch folder"
            )


OWNER: Final = "forge"
"""The superuser of a server that was made here."""
_READABLE: Final = "Install PostgreSQL where the user that servers run as may read it"


def instance(name: str, major: int, places: Places, database: str) -> Instance:
    where = f"PostgreSQL {major} on forge's own machine, at {places.sockets}"
    return Instance(name, major, where, str(places.service_file), database)


def address(places: Places) -> dict[str, str]:
    """libpq's words that lead to the server."""
    return {"host": str(places.sockets), "port": str(PORT)}


async def connect(
    service_file: Path, database: str, options: str = "", *, timeout_s: float = 10
) -> psycopg.AsyncConnection[tuple[object, ...]]:
    """A session by the words of a service file: libpq itself would only look for it by a variable of the environment."""
    words = {**read_service_file(service_file), "dbname": database, "options": options}
    return await psycopg.AsyncConnection.connect(
        "", autocommit=True, connect_timeout=max(2, int(timeout_s)), **words  # type: ignore[arg-type]
    )  # fmt: skip


def tool_environment(places: Places) -> dict[str, str]:
    """Of a client program that connects to it with `service=forge`."""
    return {**plain_environment(), "PGSERVICEFILE": str(places.service_file), "HOME": str(places.folder)}


def target(database: str) -> str:
    """What such a program gets as `--dbname=`."""
    quoted = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"service={SERVICE} dbname='{quoted}'"


def _remembered(places: Places) -> object:
    try:
        return json.loads(places.made.read_text())
    except (OSError, ValueError):
        return None


def _kind(places: Places) -> object:
    found = _remembered(places)
    return found.get("kind") if isinstance(found, dict) else None


def _state(kind: str, major: int) -> dict[str, object]:
    """What is not settled isn't on the disk: it counts until the machine is started again."""
    if kind == _SETTLED:
        return {"kind": kind, "major": major}
    return {"kind": kind, "major": major, "boot": _BOOT.read_text().strip() if _BOOT.exists() else ""}


def _remember(places: Places, state: Mapping[str, object]) -> None:
    part = places.made.with_suffix(".part")
    part.write_text(json.dumps(state))
    _to_disk(part)
    part.replace(places.made)
    _to_disk(places.folder)


def _to_disk(*paths: Path) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _wipe(*paths: Path) -> None:
    """Unlinks; links are not followed."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
            if path.exists():
                shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
