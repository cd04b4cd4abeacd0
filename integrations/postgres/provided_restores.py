"""Restored databases that others can reach: in a database of their own on the server that is configured for the environment.

Everything is fetched, checked and (of a base backup) recovered on forge's own machine before; only what came out of that gets there.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import psycopg
import structlog
from psycopg import sql

from integrations.postgres.connection import SYSTEM, plain_environment
from integrations.postgres.instances import target
from integrations.postgres.programs import ProgramFinder
from integrations.postgres.provided import Mark, ProvidedServer
from integrations.postgres.restore_checks import restored_facts
from integrations.postgres.restore_host import LocalRestores
from integrations.postgres.restoring import BEFORE, BEHIND, RESTORE_S, is_of_order, progress_told, refused
from integrations.postgres.roles import MOST, missing_role
from integrations.postgres.server_programs import run_tool
from runbook.backups import Instance, RestoreChecks, RestoredFacts
from runbook.database_ports import RestoreOrder, Tell
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.values import Environment

log = structlog.get_logger("forge")

_LOST: Final = re.compile(
    "server closed the connection unexpectedly|connection to server .* failed|could not receive data from server|SSL SYSCALL error"
    "|terminating connection"
)
"""What libpq says of a connection that broke, in PostgreSQL's own words: a repeat may find the server again."""

_HEAD_BYTES: Final = 256 * 1024
_CREATE: Final = re.compile(r"^CREATE DATABASE .+? WITH TEMPLATE = template0 ([^;]*);$", re.MULTILINE)
_OPTION: Final = re.compile(
    r"\b(ENCODING|LOCALE_PROVIDER|LOCALE|LC_COLLATE|LC_CTYPE|ICU_LOCALE|ICU_RULES|BUILTIN_LOCALE) = ('(?:[^']|'')*'|[a-z]+)"
)


class Place(Protocol):
    """Where the restored databases of one environment stand: a server for all (`ProvidedServer`), or one for each run."""

    async def at(self, mark: Mark, major: int) -> ProvidedServer:
        """The run's server, which takes connections; made where it isn't there."""

    def known(self, mark: Mark) -> ProvidedServer:
        """How it is reached, without asking."""

    async def drop(self, mark: Mark) -> None:
        """Everything of the run, and nothing else."""

    async def standing(self, installation: str) -> tuple[str, ...]:
        """Names of what this forge has made there."""


class ProvidedRestores:
    """Fulfils `runbook.database_ports.RestoreHost`: for orders without a target, and where no server is configured for it, as `local` does.

    places: by the order's target, asked anew for each call, since passwords are rotated. installation: which forge this is, as text that
    no other has: it drops nothing of theirs.
    """

    def __init__(
        self,
        local: LocalRestores,
        programs: ProgramFinder,
        places: Mapping[Environment, Callable[[], Place]],
        installation: Callable[[], str],
    ) -> None:
        self._local = local
        self._programs = programs
        self._places = places
        self._installation = installation

    async def fetch(self, order: RestoreOrder, tell: Tell) -> None:
        await self._local.fetch(order, tell)

    async def provision(self, order: RestoreOrder) -> Instance:
        """Nothing is made at the server yet. Raises Permanent("postgres.wrong_major"), ("postgres.right") and ("postgres.taken") as well."""
        place = self._place(order.target)
        if place is None:
            return await self._local.provision(order)
        mark = self._mark(order.name)
        major = order.manifest.major
        await self._programs.exactly("pg_restore", major, tls=place.known(mark).connection.encrypted)
        server = await place.at(mark, major)
        await server.fit(major)
        database = mark.database(order.manifest.database)
        await server.free(database, mark)
        file = (await asyncio.to_thread(self._local.folder, order.name)) / "provided.conf"
        await asyncio.to_thread(server.write_service, file, mark)
        connection = server.connection
        return Instance(
            order.name, major, server.where(database), str(file), database, host=connection.host, port=connection.port
        )

    async def restore(self, order: RestoreOrder, instance: Instance, tell: Tell) -> datetime | None:
        """With owners and grants. Raises Permanent("postgres.restore") with pg_restore's own words."""
        place = self._place(order.target)
        if place is None:
            return await self._local.restore(order, instance, tell)
        dump, reached = await self._local.archive(order, tell)
        mark, file = self._mark(order.name), Path(instance.service_file)
        filling = _Filling(place.known(mark), self._programs, file, mark, instance.database)
        await filling.fill(dump, order.manifest.major, tell)
        return reached

    async def check(self, instance: Instance, checks: RestoreChecks) -> RestoredFacts:
        """Afterwards nothing of what was restored is in scratch any more."""
        if not instance.host:
            return await self._local.check(instance, checks)
        facts = await restored_facts(instance, checks)
        await self._local.drop(instance.name)
        return facts

    async def admit(self, name: str, target: Environment) -> None:
        place = self._place(target)
        if place is not None:
            mark = self._mark(name)
            await place.known(mark).admit(mark)

    async def drop(self, name: str, target: Environment | None = None) -> None:
        """At the server what carries the run's mark, and nothing else."""
        place = self._place(target)
        if place is not None:
            await place.drop(self._mark(name))
        await self._local.drop(name)

    async def standing(self) -> tuple[str, ...]:
        """A server that doesn't answer is told in the log: what is left on this machine is known all the same."""
        names = set(await self._local.standing())
        for environment, place in self._places.items():
            try:
                names |= set(await place().standing(self._installation()))
            except ForgeError as error:
                log.warning("restores.server_not_looked_at", environment=environment, code=error.code, why=error.cause)
        return tuple(sorted(names))

    def _place(self, target: Environment | None) -> Place | None:
        found = self._places.get(target) if target is not None else None
        return found() if found is not None else None

    def _mark(self, name: str) -> Mark:
        return Mark(self._installation(), name)


class _Filling:
    """One database of one run, made and filled from a dump."""

    def __init__(
        self, server: ProvidedServer, programs: ProgramFinder, service_file: Path, mark: Mark, database: str
    ) -> None:
        self._server = server
        self._programs = programs
        self._service_file = service_file
        self._mark = mark
        self._database = database

    async def fill(self, dump: Path, major: int, tell: Tell) -> None:
        """First without rows: so a role that is missing is found before the first row, and not after the last."""
        encrypted = self._server.connection.encrypted
        program = str((await self._programs.exactly("pg_restore", major, tls=encrypted)).path)
        options = await self._options(program, dump)
        async with progress_told(tell, "pg_restore", self._bytes):
            await self._with_roles(program, dump, options)
            jobs = f"--jobs={max(1, min(4, os.cpu_count() or 1))}"
            await self._server.make(self._database, self._mark, options)
            try:
                await self._restore(program, dump, jobs)
            except Permanent as error:
                if not is_of_order(error):
                    raise
                await self._server.make(self._database, self._mark, options)
                await self._restore(program, dump, jobs, *BEFORE)
                await self._restore(program, dump, *BEHIND)

    async def _with_roles(self, program: str, dump: Path, options: Mapping[str, sql.Composable]) -> None:
        for _ in range(MOST):
            await self._server.make(self._database, self._mark, options)
            try:
                await self._restore(program, dump, "--schema-only")
            except Permanent as error:
                missing = missing_role(error.cause)
                if not missing:
                    raise
                await self._role(missing)
                continue
            return
        cause = f"the dump needs more than {MOST} roles that are not there"
        raise Permanent(SYSTEM, "restore", cause, "Make the source's roles at that server first")

    async def _role(self, role: str) -> None:
        if not self._server.create_roles:
            cause = f"there is no role {role} at {self._server.connection.where}, which owns something or was granted something"
            raise Permanent(SYSTEM, "no_role", cause, "Make it there, or write create_roles: true")
        await self._server.make_role(role, self._mark)

    async def _restore(self, program: str, dump: Path, *more: str) -> None:
        arguments = (
            program, "--exit-on-error", "--no-password", "--no-publications", "--no-subscriptions", *more,
            f"--dbname={target(self._database)}", str(dump),
        )  # fmt: skip
        try:
            await run_tool(arguments, timeout_s=RESTORE_S, environment=self._environment())
        except Permanent as error:
            if _LOST.search(error.cause):
                raise Temporary(SYSTEM, "unreachable", f"the server for restores went away: {error.cause}") from None
            raise refused(error) from None

    async def _options(self, program: str, dump: Path) -> Mapping[str, sql.Composable]:
        """Encoding and locale of the source, as its dump has them. Raises Permanent("postgres.restore")."""
        into = self._service_file.with_name("schema.sql")
        arguments = (program, "--create", "--schema-only", f"--file={into}", str(dump))
        try:
            await run_tool(arguments, timeout_s=RESTORE_S, environment=self._environment())
            with into.open(encoding="utf-8", errors="replace") as text:
                found = _CREATE.search(text.read(_HEAD_BYTES))
        finally:
            into.unlink(missing_ok=True)
        if found is None:
            cause = "the dump doesn't say which encoding and locale its database had"
            raise Permanent(SYSTEM, "restore", cause, "Restore it by hand")
        return {word: _value(text) for word, text in _OPTION.findall(found[1])}

    async def _bytes(self) -> int:
        try:
            return await self._server.bytes_of(self._database, self._mark)
        except ForgeError as error:
            raise psycopg.OperationalError(error.cause) from None  # what can't be asked is not told

    def _environment(self) -> dict[str, str]:
        folder = str(self._service_file.parent)
        return {**plain_environment(), "PGSERVICEFILE": str(self._service_file), "HOME": folder}


def _value(text: str) -> sql.Composable:
    return sql.Literal(text[1:-1].replace("''", "'")) if text.startswith("'") else sql.Identifier(text)
