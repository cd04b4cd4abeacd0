"""What must be right of a database that is backed up or measured: it answers, by TLS, and its role may do what forge needs. Reads only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from bot.checks.findings import Finding, fail, of_error, ok, warn
from bot.configuration.connections import DatabaseConnection
from bot.databases import DatabaseAdapters, connection_of
from runbook.backups import ServerFacts
from runbook.errors import ForgeError
from runbook.wording import size

if TYPE_CHECKING:
    from integrations.postgres import PostgresConnection, ProgramFinder
    from integrations.postgres.rights import Rights, Slot

_MANUAL = "docs/operations.md#databases-and-backups"


def name_of(found: DatabaseConnection) -> str:
    """Of the check: `prod.shop.database`."""
    return f"{found.environment}.{found.service}.database"


async def check_database(found: DatabaseConnection, adapters: DatabaseAdapters) -> AsyncIterator[Finding]:
    """Raises its error where it doesn't answer: nothing else can be said of it then."""
    from integrations.postgres.look import look
    from integrations.postgres.rights import read_rights

    name, connection = name_of(found), connection_of(found)
    facts = await look(connection)
    yield _answered(name, found, facts)
    if adapters.backups is not None:
        async for finding in _programs(name, connection, facts, adapters.programs, restores=_restores(adapters)):
            yield finding
        rights = await read_rights(connection)
        for finding in judge_dump(name, found.user, rights):
            yield finding
        if found.wal:
            async for finding in _wal(name, found, connection, facts, rights):
                yield finding
    async for finding in _reader(name, found):
        yield finding


def _restores(adapters: DatabaseAdapters) -> bool:
    return adapters.backups is not None and adapters.backups.identity is not None


def _answered(name: str, found: DatabaseConnection, facts: ServerFacts) -> Finding:
    how = "by TLS" if facts.encrypted else "without TLS, on this machine"
    room = size(facts.database_bytes)
    text = f"PostgreSQL {facts.version} answers at {found.where} {how}; the database has {room}"
    if facts.encrypted and found.sslmode == "require":
        remedy = "Write sslmode: verify-full, with sslrootcert: without it anybody in between could be the server"
        return warn(name, f"{text}; the server's certificate isn't checked", remedy)
    return ok(name, text)


async def _programs(
    name: str, connection: PostgresConnection, facts: ServerFacts, programs: ProgramFinder, *, restores: bool
) -> AsyncIterator[Finding]:
    """The client programs of its version; and, where restores run, a server of the very same one."""
    from integrations.postgres import outdated

    for word in ("pg_dump", "pg_restore"):
        try:
            program = await programs.at_least(word, facts.major, tls=word == "pg_dump" and connection.encrypted)
        except ForgeError as error:
            yield of_error(name, error)
            continue
        if (wanted := outdated(program.version)) is not None:
            remedy = f"Install {wanted} or newer: a crafted archive can run code in older ones (CVE-2026-116314)"
            yield warn(name, f"{program.path} is of {program.version}", remedy)
        else:
            yield ok(name, f"{program.path} is of {program.version}")
    if restores:
        try:
            server = await programs.exactly("postgres", facts.major)
        except ForgeError as error:
            yield fail(name, f"nothing can be restored here: {error.cause}", error.remedy)
        else:
            yield ok(name, f"restores run with {server.path} ({server.version})")


def judge_dump(name: str, user: str, rights: Rights) -> Iterator[Finding]:
    if rights.unreadable:
        cause = f"{user} may not read {rights.unreadable} tables and sequences, such as {rights.example}"
        yield fail(name, cause, f"GRANT pg_read_all_data TO {user}")
    if rights.hidden_rows:
        cause = f"row security would hide rows of {rights.hidden_rows} from {user}, so that it can't be dumped"
        yield fail(name, cause, f"ALTER ROLE {user} BYPASSRLS")
    if rights.superuser:
        remedy = f"Use a role of its own: member of pg_read_all_data and pg_monitor, nothing more. See {_MANUAL}"
        yield warn(name, f"{user} is a superuser, which backups don't need", remedy)
    elif not rights.unreadable and not rights.hidden_rows:
        yield ok(name, f"{user} may dump all of it")


async def _wal(
    name: str, found: DatabaseConnection, connection: PostgresConnection, facts: ServerFacts, rights: Rights
) -> AsyncIterator[Finding]:
    from integrations.postgres.rights import may_replicate, read_slot

    for finding in judge_wal(name, found, facts, rights):
        yield finding
    if rights.replication:
        refused = await may_replicate(connection)
        if refused is not None:
            remedy = f"Add to its pg_hba.conf: hostssl replication {found.user} <forge's address> scram-sha-256"
            yield fail(name, f"no WAL can be received: {refused.cause}", remedy)
    yield judge_slot(name, found.slot, await read_slot(connection, found.slot))


def judge_wal(name: str, found: DatabaseConnection, facts: ServerFacts, rights: Rights) -> Iterator[Finding]:
    """What the server has to be set to, so that WAL can be received without ever filling its disk."""
    if facts.wal_level not in ("replica", "logical"):
        yield fail(name, f"wal_level is {facts.wal_level}", "Set wal_level = replica, and start the server anew")
    if not rights.replication:
        yield fail(name, f"{found.user} has no REPLICATION", f"ALTER ROLE {found.user} REPLICATION")
    if not rights.may_switch:
        remedy = f"GRANT EXECUTE ON FUNCTION pg_switch_wal() TO {found.user}"
        yield warn(name, f"{found.user} can't begin a new WAL segment: what is written rarely is archived late", remedy)
    if facts.keep_bytes is None:
        remedy = (
            "Set max_slot_wal_keep_size, to 20GB or what the disk can spare: ALTER SYSTEM, then SELECT pg_reload_conf()"
        )
        yield fail(
            name, "max_slot_wal_keep_size is unlimited: while forge is away, WAL would fill the server's disk", remedy
        )
    else:
        yield ok(name, f"the server keeps {size(facts.keep_bytes)} of WAL for forge at most")


def judge_slot(name: str, wanted: str, slot: Slot | None) -> Finding:
    if slot is None:
        return ok(name, f"there is no slot {wanted} yet: the running bot makes it")
    if not slot.physical:
        return fail(name, f"the slot {wanted} is a logical one", "Name another one beneath `slot`")
    if slot.wal_status == "lost":
        remedy = f"SELECT pg_drop_replication_slot('{wanted}'); the bot makes it anew. Then make a base backup: older ones end at the gap"
        return fail(name, f"the slot {wanted} has lost WAL that was not received: there is a gap", remedy)
    if slot.wal_status == "unreserved":
        remedy = "See that the bot runs and receives, or raise max_slot_wal_keep_size"
        return warn(name, f"the slot {wanted} is about to lose WAL", remedy)
    return ok(name, f"the slot {wanted} {'is in use' if slot.active else 'keeps WAL; nobody receives it now'}")


async def _reader(name: str, found: DatabaseConnection) -> AsyncIterator[Finding]:
    from integrations.postgres.rights import read_rights

    user = found.reader.user if found.reader is not None else found.user
    try:
        rights = await read_rights(connection_of(found, found.reader))
    except ForgeError as error:
        yield fail(name, f"it can't be measured: {error.cause}", error.remedy)
        return
    if not rights.sees_statistics:
        remedy = f"GRANT pg_monitor TO {user}"
        yield warn(name, f"{user} sees no other session: slow queries, lock waits and replicas aren't measured", remedy)
    elif rights.superuser and found.reader is not None:
        yield warn(name, f"{user} is a superuser, which reading statistics doesn't need", "Use a role with pg_monitor")
    else:
        yield ok(name, f"{user} may read its statistics")
