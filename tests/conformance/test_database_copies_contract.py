"""Copies of a whole database, and of a whole server: as large as it is. Kept in a temporary folder, for as long as the test runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.postgres.rights import read_rights
from runbook.backups import BackupKind, manifest_of
from runbook.rules.wal import lsn_number
from tests.conformance.addresses import Addresses
from tests.conformance.databases import connection_of, database_of, order_for, repository_in

pytestmark = pytest.mark.conformance


async def test_a_dump_is_decoded_stored_confirmed_and_published(addresses: Addresses, tmp_path: Path) -> None:
    repository = repository_in(tmp_path)
    order = order_for(BackupKind.LOGICAL)
    made = await database_of(addresses, tmp_path, repository).dump(order, lambda _: None)
    assert made.decoded
    assert made.entries > 0
    assert await repository.confirm(order, made)
    manifest = manifest_of(order, made.server.database, made)
    await repository.publish(manifest)
    assert await repository.manifest(order.id) == manifest


async def test_a_base_backup_passes_its_check_and_names_its_wal(addresses: Addresses, tmp_path: Path) -> None:
    rights = await read_rights(connection_of(addresses))
    assert rights.replication, "the role has no REPLICATION: ALTER ROLE … REPLICATION, and a line in pg_hba.conf"
    repository = repository_in(tmp_path)
    order = order_for(BackupKind.BASE)
    made = await database_of(addresses, tmp_path, repository).base_backup(order, lambda _: None)
    assert made.decoded
    assert lsn_number(made.lsn_start) < lsn_number(made.lsn_end)
    assert made.timeline >= 1
    assert await repository.confirm(order, made)
