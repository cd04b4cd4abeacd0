"""A PostgreSQL server that people provide for restores: forge makes databases of its own there, and drops them by their mark.

It never touches a database that doesn't carry the mark of the very run, and no role but those that the run has made.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from integrations.postgres.connection import SYSTEM, PostgresConnection
from integrations.postgres.look import translated
from integrations.postgres.service_files import write_service_file
from runbook.errors import Permanent

Session = psycopg.AsyncConnection[tuple[Any, ...]]

_OPTIONS: Final = "-c statement_timeout=600s -c lock_timeout=60s -c search_path=pg_catalog"
_NAME_BYTES: Final = 63
_ABOUT: Final = """
SELECT current_setting('server_version_num')::int / 10000, pg_is_in_recovery(), rolsuper, rolsuper OR rolcreatedb, rolsuper OR rolcreaterole,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
  FROM pg_roles WHERE rolname = current_user
"""
_DATABASES: Final = """
SELECT datname, coalesce(shobj_description(oid, 'pg_database'), ''), datallowconn, datdba = current_user::regrole
  FROM pg_database ORDER BY datname
"""
_OWN_SESSIONS: Final = """
SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity
 WHERE application_name = {} AND usename = current_user AND pid <> pg_backend_pid()
"""
_OWN_ROLES: Final = """
SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = {} AND NOT rolcanlogin ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class ServerAbout:
    """What the server and forge's role there are."""

    major: int
    in_recovery: bool
    superuser: bool
    makes_databases: bool
    makes_roles: bool
    encrypted: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """What a run's database and roles carry as their comment. installation: which forge it is, for several may share a server."""

    installation: str
    name: str

    @property
    def text(self) -> str:
        return f"{mark_prefix(self.installation)}{self.name}"

    @property
    def application(self) -> str:
        """`application_name` of sessions of this run alone."""
        return f"forge-{hashlib.sha256(self.text.encode()).hexdigest()[:24]}"

    @property
    def suffix(self) -> str:
        """How the names of its databases end."""
        return f"_restored_{re.sub('[^a-z0-9]', '_', self.name.removeprefix('forge-').lower())}"

    def database(self, name: str) -> str:
        """`shop_restored_prod_12`; the name's end is left out where all of it has no room in 63 bytes."""
        room = _NAME_BYTES - len(self.suffix)
        return name.encode()[:room].decode(errors="ignore") + self.suffix


def mark_prefix(installation: str) -> str:
    return f"restored by forge {installation}: "


@dataclass(frozen=True, slots=True)
class ProvidedServer:
    """connection: of a role that may make databases, to a database that is there anyway (`postgres`). create_roles: owners and grantees
    that are not there are made, without the right to log in; else a dump that names one is refused."""

    connection: PostgresConnection
    create_roles: bool = True

    async def at(self, mark: Mark, major: int) -> ProvidedServer:
        """It stands already, for every run."""
        return self

    def known(self, mark: Mark) -> ProvidedServer:
        return self

    def where(self, database: str) -> str:
        return f"{self.connection.host}:{self.connection.port}/{database}"

    async def about(self) -> ServerAbout:
        """Raises Permanent and Temporary as `look` does."""
        async with self._session("forge") as session:
            rows = await _rows(session, sql.SQL(_ABOUT))
        return ServerAbout(*rows[0])

    async def fit(self, major: int) -> ServerAbout:
        """Raises Permanent("postgres.wrong_major"), ("postgres.standby") and ("postgres.right") for a server that can't be restored to."""
        found = await self.about()
        where = self.connection.where
        if found.major != major:
            cause = f"{where} is PostgreSQL {found.major}; the backup comes from {major}"
            raise Permanent(SYSTEM, "wrong_major", cause, f"Provide a server of PostgreSQL {major} for restores")
        if found.in_recovery:
            raise Permanent(
                SYSTEM, "standby", f"{where} is a standby: nothing can be restored there", "Name its primary"
            )
        if not found.makes_databases:
            user = self.connection.user
            raise Permanent(SYSTEM, "right", f"{user} may not make databases at {where}", f"ALTER ROLE {user} CREATEDB")
        return found

    def write_service(self, file: Path, mark: Mark) -> None:
        """How programs and checks reach it; the database's name is theirs to say."""
        words = {**self.connection.parameters(), "application_name": mark.application}
        if self.connection.password:
            words["password"] = self.connection.password
        for word in ("dbname", "connect_timeout"):
            words.pop(word, None)
        write_service_file(file, words)

    async def free(self, database: str, mark: Mark) -> None:
        """Raises Permanent("postgres.taken") where a database of that name isn't this run's."""
        async with self._session(mark.application) as session:
            await _look_out(session, database, mark)

    async def make(self, database: str, mark: Mark, options: Mapping[str, sql.Composable]) -> None:
        """Makes it anew, empty; what an earlier attempt of this run left is dropped. options: of CREATE DATABASE.

        Nobody but its owner may connect before `admit`, and not even that one until it carries its mark, so that a half-made one is known.
        Raises Permanent("postgres.taken").
        """
        name = sql.Identifier(database)
        with_options = [sql.SQL("{} = {}").format(sql.SQL(word), value) for word, value in options.items()]
        async with self._session(mark.application) as session:
            await session.execute(sql.SQL(_OWN_SESSIONS).format(sql.Literal(mark.application)))
            await _look_out(session, database, mark)
            await _drop(session, await _marked(session, mark))
            await session.execute(
                sql.SQL("CREATE DATABASE {} WITH TEMPLATE = template0 ALLOW_CONNECTIONS = false {}").format(
                    name, sql.SQL(" ").join(with_options)
                )
            )
            await session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(mark.text)))
            await session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
            await session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(name))

    async def admit(self, mark: Mark) -> None:
        """Whom its tables are granted to may connect from now on, as PostgreSQL has it by default."""
        async with self._session(mark.application) as session:
            for database in await _marked(session, mark):
                name = sql.Identifier(database)
                await session.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC").format(name))

    async def make_role(self, role: str, mark: Mark) -> None:
        """Without the right to log in; forge's own role becomes a member, so that it may give things to it."""
        name = sql.Identifier(role)
        async with self._session(mark.application) as session, session.transaction():
            await session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
            await session.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, sql.Literal(mark.text)))
            if not (await _rows(session, sql.SQL("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")))[0][0]:
                await session.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))

    async def bytes_of(self, database: str, mark: Mark) -> int:
        asked = sql.SQL("SELECT sum(pg_database_size(oid))::bigint FROM pg_database WHERE datname = {}")
        async with self._session(mark.application) as session:
            return int((await _rows(session, asked.format(sql.Literal(database))))[0][0] or 0)

    async def drop(self, mark: Mark) -> None:
        """All that carries the mark; roles that something else depends on, or that may log in by now, stay."""
        async with self._session(mark.application) as session:
            await session.execute(sql.SQL(_OWN_SESSIONS).format(sql.Literal(mark.application)))
            await _drop(session, await _marked(session, mark))
            for (role,) in await _rows(session, sql.SQL(_OWN_ROLES).format(sql.Literal(mark.text))):
                with contextlib.suppress(psycopg.errors.DependentObjectsStillExist):
                    await session.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))

    async def standing(self, installation: str) -> tuple[str, ...]:
        """Names of what this forge has made there."""
        prefix = mark_prefix(installation)
        async with self._session("forge") as session:
            found = await _rows(session, sql.SQL(_DATABASES))
        return tuple(sorted({comment.removeprefix(prefix) for _, comment, *_ in found if comment.startswith(prefix)}))

    @contextlib.asynccontextmanager
    async def _session(self, application: str) -> AsyncIterator[Session]:
        words: dict[str, Any] = {**self.connection.parameters(), "application_name": application, "options": _OPTIONS}
        if self.connection.password:
            words["password"] = self.connection.password
        try:
            async with await psycopg.AsyncConnection.connect("", autocommit=True, **words) as session:
                yield session
        except psycopg.Error as error:
            raise translated(error, self.connection) from None


async def _rows(session: Session, statement: sql.SQL | sql.Composed) -> Sequence[tuple[Any, ...]]:
    return await (await session.execute(statement)).fetchall()


async def _marked(session: Session, mark: Mark) -> tuple[str, ...]:
    """Databases of this run; a half-made one has no mark yet, but nobody else's would let nobody in, and be forge's, and be so named."""
    return tuple(
        name
        for name, comment, open_to_sessions, own in await _rows(session, sql.SQL(_DATABASES))
        if comment == mark.text or (not comment and not open_to_sessions and own and name.endswith(mark.suffix))
    )


async def _look_out(session: Session, database: str, mark: Mark) -> None:
    there = any(name == database for name, *_ in await _rows(session, sql.SQL(_DATABASES)))
    if there and database not in await _marked(session, mark):
        cause = f"there is a database {database} already, which this run has not made"
        raise Permanent(SYSTEM, "taken", cause, "Rename it, or drop it by hand where nobody needs it")


async def _drop(session: Session, databases: Sequence[str]) -> None:
    """Fenced first: whoever is connected is thrown out, and nobody comes in meanwhile."""
    for database in databases:
        name = sql.Identifier(database)
        await session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(name))
        await session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
