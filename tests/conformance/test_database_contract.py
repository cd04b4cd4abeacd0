"""What forge relies on in a PostgreSQL server that it backs up and measures. Reads catalogues and statistics, and nobody's rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from integrations.postgres.look import connect, look
from integrations.postgres.metrics import OPTIONS, read_load
from integrations.postgres.rights import read_rights
from runbook.errors import Permanent
from runbook.rules.wal import lsn_number
from tests.conformance.addresses import Addresses
from tests.conformance.databases import connection_of, programs_of

pytestmark = pytest.mark.conformance


async def test_the_server_tells_what_a_manifest_keeps(addresses: Addresses) -> None:
    facts = await look(connection_of(addresses))
    assert facts.major >= 14
    assert facts.system_identifier.isdecimal()
    assert (facts.database, facts.database_bytes > 0) == (addresses["CONFORMANCE_DATABASE_NAME"], True)
    assert lsn_number(facts.lsn) > 0
    assert facts.timeline >= 1


async def test_the_connection_is_encrypted_but_on_this_machine(addresses: Addresses) -> None:
    connection = connection_of(addresses)
    assert (await look(connection)).encrypted or connection.local


async def test_its_clock_is_near_ours(addresses: Addresses) -> None:
    facts = await look(connection_of(addresses))
    assert abs((facts.at - datetime.now(UTC)).total_seconds()) < 30.0


async def test_a_session_of_forge_can_write_nothing(addresses: Addresses) -> None:
    import psycopg

    async with await connect(connection_of(addresses)) as session:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await session.execute("CREATE TABLE forge_conformance (n int)")


async def test_another_password_is_refused_as_such(addresses: Addresses) -> None:
    """Not where the server knows its clients otherwise: then the look is as good."""
    connection = replace(connection_of(addresses), password="no-such-word-of-forge")
    if not addresses.get("CONFORMANCE_DATABASE_PASSWORD"):
        assert (await look(connection)).major >= 14
        return
    with pytest.raises(Permanent) as caught:
        await look(connection)
    assert "no-such-word-of-forge" not in f"{caught.value!r} {caught.value}"


async def test_the_role_sees_everything_that_is_dumped_and_measured(addresses: Addresses) -> None:
    rights = await read_rights(connection_of(addresses))
    assert rights.unreadable == 0, f"{rights.unreadable} tables or sequences can't be read, such as {rights.example}"
    assert rights.hidden_rows == "", f"row security hides rows of {rights.hidden_rows}: ALTER ROLE … BYPASSRLS"
    assert rights.sees_statistics, "the role is no member of pg_monitor"


async def test_the_load_is_told_without_a_gap(addresses: Addresses) -> None:
    async with await connect(connection_of(addresses), OPTIONS) as session:
        before = await read_load(session)
        after = await read_load(session)
    assert 0 < after.connections <= after.max_connections
    assert None not in (after.slow, after.lock_waits)
    assert after.deadlocks >= before.deadlocks >= 0
    assert after.checkpoint_s >= before.checkpoint_s >= 0.0
    assert after.wal_bytes is None or after.wal_bytes > 0


async def test_there_are_client_programs_for_its_version(addresses: Addresses) -> None:
    connection = connection_of(addresses)
    major = (await look(connection)).major
    found = await programs_of(addresses).at_least("pg_dump", major, tls=connection.encrypted)
    assert found.version.major >= major
