"""Finds PostgreSQL's programs on this machine, by their major version. It runs nothing but `--version`, and a probe for TLS."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from integrations.postgres.connection import SYSTEM, plain_environment
from integrations.programs import run_program
from runbook.errors import ForgeError, Permanent

FIXED_MINORS: Final = {18: 7, 17: 12, 16: 16, 15: 20, 14: 25}
"""The first minor versions whose `pg_restore` runs no code of a crafted archive. https://www.postgresql.org/support/security/"""

_PACKAGED: Final = Path("/usr/lib/postgresql")
_WRAPPER: Final = "pg_wrapper"
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+)|(?:devel|beta|rc)\d*)")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class Program:
    """One program, and what it said of itself."""

    path: Path
    version: Version

    def beside(self, name: str) -> Path:
        """Another program of the same installation."""
        return self.path.with_name(name)


def outdated(version: Version) -> Version | None:
    """The version that a client program should have at least, None where it is new enough (or of a major version without fixes)."""
    minor = FIXED_MINORS.get(version.major)
    return Version(version.major, minor) if minor is not None and version.minor < minor else None


class ProgramFinder:
    """Looks into the configured folders, then where Debian and PGDG install, then PATH."""

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = tuple(folders)
        self._known: dict[tuple[Path, int], Version | None] = {}
        self._tls: dict[Path, bool] = {}

    async def at_least(self, name: str, major: int, *, tls: bool = False) -> Program:
        """The program of the smallest major version that is not below; of one major version the newest. tls: it must be able to.

        Raises Permanent("postgres.no_program") with the remedy.
        """
        fitting = [program for program in await self.found(name) if program.version.major >= major]
        return await self._chosen(name, f"{major} or later", fitting, tls=tls)

    async def exactly(self, name: str, major: int, *, tls: bool = False) -> Program:
        """The program of this very major version. Raises Permanent("postgres.no_program")."""
        fitting = [program for program in await self.found(name) if program.version.major == major]
        return await self._chosen(name, str(major), fitting, tls=tls)

    async def found(self, name: str) -> tuple[Program, ...]:
        """All there are, by rising major version, the newest minor first."""
        paths = await asyncio.to_thread(self._paths, name)
        programs = [Program(path, version) for path, stamp in paths if (version := await self._version(path, stamp))]
        return tuple(sorted(programs, key=lambda program: (program.version.major, -program.version.minor)))

    async def speaks_tls(self, program: Path) -> bool:
        """Whether its libpq was built with TLS: without, it refuses `sslmode=require` before it connects."""
        if program not in self._tls:
            environment = {**plain_environment(), "PGSSLMODE": "require", "PGCONNECT_TIMEOUT": "2"}
            arguments = (str(program.with_name("pg_dump")), "--dbname=host=127.0.0.1 port=1 dbname=none user=none")
            finished = await run_program(SYSTEM, arguments, remedy="", environment=environment)
            self._tls[program] = b"SSL support is not compiled in" not in finished.errors
        return self._tls[program]

    async def _chosen(self, name: str, wanted: str, fitting: Sequence[Program], *, tls: bool) -> Program:
        for program in fitting:
            if not tls or await self.speaks_tls(program.path):
                return program
        able = " that can do TLS" if tls and fitting else ""
        cause = f"there is no {name} of PostgreSQL {wanted}{able} on this machine"
        remedy = "Install PostgreSQL's client programs of that version, or name their folder in integrations.postgres.programs"
        raise Permanent(SYSTEM, "no_program", cause, remedy)

    def _paths(self, name: str) -> list[tuple[Path, int]]:
        """With the time of the last change, so that an upgrade is noticed."""
        packaged = sorted(folder / "bin" for folder in _PACKAGED.iterdir()) if _PACKAGED.is_dir() else []
        paths: dict[Path, int] = {}
        for folder in (*self._folders, *packaged, *map(Path, filter(None, os.get_exec_path()))):
            path = (folder / name).resolve()
            # Debian's wrapper picks a version by rules of its own.
            if path.name != _WRAPPER and path.is_file() and os.access(path, os.X_OK):
                paths.setdefault(path, path.stat().st_mtime_ns)
        return list(paths.items())

    async def _version(self, path: Path, stamp: int) -> Version | None:
        """None: it didn't say, or isn't PostgreSQL's."""
        if (path, stamp) not in self._known:
            try:
                finished = await run_program(SYSTEM, (str(path), "--version"), remedy="", environment={"LC_ALL": "C"})
            except (ForgeError, OSError):  # of another machine's architecture, maybe
                return None
            match = _VERSION.search(finished.output.decode(errors="replace"))
            self._known[path, stamp] = Version(int(match[1]), int(match[2] or 0)) if match else None
        return self._known[path, stamp]
