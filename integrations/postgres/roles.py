"""Roles that a dump names: they belong to the server and are in no dump, and nothing can belong or be granted to one that isn't there.

They are made without the right to log in, and without a password: nobody can be one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from psycopg import sql

from integrations.postgres.facts import Session
from runbook.source_facts import Role

MOST: Final = 32
"""So often a restore is begun anew for a role that nobody had foreseen."""

_MISSING: Final = re.compile(r'role "(.+?)" does not exist')
_STATEMENT: Final = re.compile(r"^(?:ALTER|GRANT|REVOKE|SET SESSION AUTHORIZATION|CREATE POLICY) ")
_NAMED: Final = re.compile(
    r"""(?:\b(?:TO|FROM|ROLE|AUTHORIZATION)|,) ('(?:[^']|'')+'|"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)"""
)
_LINE: Final = 1024 * 1024


def missing_role(said: str) -> str:
    """Which role a program misses, by the server's words, which quote a name and leave quotes in it as they are; empty: none."""
    found = _MISSING.search(said)
    return found[1] if found is not None else ""


def named_in(schema: Path) -> tuple[Role, ...]:
    """Whom a schema as SQL may name. That is more than it does rather than less, since a function's body looks like a statement too; and
    what the role was at the source isn't in it, so that each may own what only a superuser may."""
    with schema.open(encoding="utf-8", errors="replace") as text:
        names = {name for line in iter(lambda: text.readline(_LINE), "") for name in _names(line)}
    return tuple(Role(name, superuser=True) for name in sorted(names))


def _names(line: str) -> Iterator[str]:
    if _STATEMENT.match(line) is None:
        return
    for found in _NAMED.findall(line):
        mark = found[0]
        name = found[1:-1].replace(mark * 2, mark) if mark in "'\"" else found
        if name != "public" and not name.startswith("pg_") and len(name.encode()) < 64:
            yield name


async def make_roles(session: Session, roles: Iterable[Role]) -> None:
    """Those that aren't there. Raises psycopg.Error."""
    found = await (await session.execute("SELECT rolname FROM pg_roles")).fetchall()
    there = {row[0] for row in found}
    for role in roles:
        if role.name not in there:
            more = [word for word, has in (("SUPERUSER", role.superuser), ("BYPASSRLS", role.all_rows)) if has]
            words = sql.SQL(" ").join(map(sql.SQL, ("NOLOGIN", *more)))
            await session.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role.name), words))
