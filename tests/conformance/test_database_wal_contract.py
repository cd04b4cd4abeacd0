"""Receiving WAL: makes a replication slot of the test's own, begins a new segment, and drops the slot again."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from integrations.postgres.look import look
from integrations.postgres.rights import read_rights
from integrations.postgres.wal import check_archivable, drop_slot
from integrations.postgres.wal_receiver import WalReceiver
from runbook.backups import WalSegment
from runbook.errors import Temporary
from runbook.rules.wal import is_segment
from tests.conformance.addresses import Addresses
from tests.conformance.databases import SLOT, connection_of, programs_of, repository_in

pytestmark = pytest.mark.conformance
DEADLINE_S = 120.0


async def test_the_server_may_be_received_from(addresses: Addresses) -> None:
    connection = connection_of(addresses)
    check_archivable(await look(connection), SLOT)
    rights = await read_rights(connection)
    assert rights.replication, "the role has no REPLICATION: ALTER ROLE … REPLICATION, and a line in pg_hba.conf"
    assert rights.may_switch, "the role may not begin a segment: GRANT EXECUTE ON FUNCTION pg_switch_wal()"


async def test_what_is_written_arrives_as_whole_segments_on_record(addresses: Addresses, tmp_path: Path) -> None:
    connection, repository = connection_of(addresses), repository_in(tmp_path)
    there = asyncio.Event()
    segments: list[WalSegment] = []

    async def archived(segment: WalSegment) -> None:
        segments.append(segment)
        if is_segment(segment.name):
            there.set()

    receiver = WalReceiver(
        connection, programs_of(addresses), repository, tmp_path / "scratch",
        service="conformance", environment="staging", slot=SLOT, archived=archived, switch_s=1.0, looked_s=0.2,
    )  # fmt: skip
    work = asyncio.create_task(receiver.run())
    try:
        async with asyncio.timeout(DEADLINE_S):
            await there.wait()
    except TimeoutError:
        pytest.fail(f"no segment within {DEADLINE_S:g} s: {receiver.state()}")
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await dropped(addresses)
    first = next(segment for segment in segments if is_segment(segment.name))
    assert first.system_identifier == (await look(connection)).system_identifier
    assert first.file.plain.bytes & (first.file.plain.bytes - 1) == 0


async def dropped(addresses: Addresses) -> None:
    """The server sees a little later that nobody reads from it any more."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(Temporary):
                await drop_slot(connection_of(addresses), SLOT)
                return
            await asyncio.sleep(0.2)
