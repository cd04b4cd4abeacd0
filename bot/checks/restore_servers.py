"""What must be right of a server that is provided for restores: it answers, by TLS, is of the right version, and forge may make databases.

Reads only: nothing is made there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from bot.checks.findings import Finding, fail, of_error, ok, warn
from bot.configuration.connections import RestoreCluster, RestoreServer
from bot.databases import DatabaseAdapters, provided_server
from runbook.backups import ServerFacts
from runbook.errors import ForgeError
from runbook.values import Environment

if TYPE_CHECKING:
    from integrations.postgres.provided import ServerAbout

_MANUAL = "docs/backups.md#where-a-restored-database-stands"


def name_of(found: RestoreServer | RestoreCluster) -> str:
    """Of the check: `prod.restores`."""
    return f"{found.environment}.restores"


async def check_restore_server(found: RestoreServer, adapters: DatabaseAdapters) -> AsyncIterator[Finding]:
    """Raises its error where it doesn't answer: nothing else can be said of it then."""
    name, server = name_of(found), provided_server(found)
    about = await server.about()
    for finding in judge_server(found, about):
        yield finding
    for service, major in (await _majors(adapters, found.environment)).items():
        if major != about.major:
            text = f"it is PostgreSQL {about.major}, and {service} runs {major}: a backup of it can't be restored there"
            yield fail(name, text, f"Provide a server of PostgreSQL {major}")
    try:
        await adapters.programs.exactly("pg_restore", about.major, tls=server.connection.encrypted)
    except ForgeError as error:
        yield of_error(name, error)


async def check_template(found: RestoreCluster) -> AsyncIterator[Finding]:
    """That it can be used. The rights that it takes are looked at with the cluster. Raises Permanent("kubernetes.template")."""
    from integrations.postgres.cluster_servers import read_template

    objects = await asyncio.to_thread(read_template, found.template)
    yield ok(name_of(found), f"{found.template} has {len(objects)} objects for each restore, reached at {found.host}")


def judge_server(found: RestoreServer, about: ServerAbout) -> Iterator[Finding]:
    name, user = name_of(found), found.user
    how = "by TLS" if about.encrypted else "without TLS, on this machine"
    text = f"PostgreSQL {about.major} for restores answers at {found.where} {how}"
    if about.encrypted and found.sslmode == "require":
        remedy = "Write sslmode: verify-full, with sslrootcert: without it anybody in between could be the server"
        yield warn(name, f"{text}; the server's certificate isn't checked", remedy)
    else:
        yield ok(name, text)
    if about.in_recovery:
        yield fail(name, f"{found.where} is a standby", "Name its primary")
    if not about.makes_databases:
        yield fail(name, f"{user} may not make databases", f"ALTER ROLE {user} CREATEDB")
    if found.create_roles and not about.makes_roles:
        remedy = f"ALTER ROLE {user} CREATEROLE, or make the source's roles there and write create_roles: false"
        yield warn(
            name, f"{user} may not make roles: a backup that names one that isn't there can't be restored", remedy
        )
    if not about.superuser:
        remedy = f"Try a restore. See {_MANUAL}"
        yield ok(name, f"{user} is no superuser: it may give things only to roles that it is a member of. {remedy}")


async def _majors(adapters: DatabaseAdapters, environment: Environment) -> dict[str, int]:
    """Of the environment's databases, as far as they answer: what doesn't is another check's matter."""
    wanted = {service: found for (service, env), found in adapters.databases.items() if env is environment}
    answers = await asyncio.gather(*(found.look() for found in wanted.values()), return_exceptions=True)
    return {
        service: found.major for service, found in zip(wanted, answers, strict=True) if isinstance(found, ServerFacts)
    }
